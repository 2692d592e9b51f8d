"""The queues and definitions of a deployment's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import ConfigDict, Field, Json

from gaitway.compute.sizes import JobSizes, job_size
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import Model
from gaitway.contracts.request import ComputeConfig
from gaitway.libraries.simulators import Simulator, simulator_of_before

Queues = dict[int, str]
"""Names or ARNs of queues, by the number of GPUs of their instances. A queue is first in, first out, so that a job that
waits for four GPUs would block those behind it that need one:
docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html"""


Definitions = dict[Simulator, str]
"""Names of job definitions, each with the image of a simulator."""


def of_simulator(deployed: Mapping[Simulator, str], simulator: Simulator | None) -> str:
    """Choose what is there for a run's simulator.

    Args:
        deployed: By simulator.
        simulator: The run's; None if a version without a choice has constructed it.

    Raises:
        RequestError: The simulator is not deployed any more.
    """
    found = deployed.get(simulator or simulator_of_before(deployed))
    if found is None:
        raise RequestError(
            f"the run is for the simulator {simulator}, which is not deployed any more, allowed: "
            f"{', '.join(deployed)}; submit it again as a new run"
        )
    return found


@dataclass(frozen=True)
class Target:
    """Queue and definitions of jobs of a kind."""

    queues: Queues
    definitions: Definitions


@dataclass(frozen=True)
class Targets:
    """Where jobs go."""

    single_node: Target
    multi_node: Target
    sizes: JobSizes
    tags: dict[str, str] = field(default_factory=dict)
    """Of each job: who may end it is decided by them."""

    def queue(self, compute: ComputeConfig) -> str:
        """Choose where a job waits."""
        return self.of(compute).queues[job_size(compute, self.sizes).instance_gpus]

    def definition(self, compute: ComputeConfig, simulator: Simulator | None) -> str:
        """Choose what a job is made from.

        Args:
            compute: The machines that it needs.
            simulator: Its run's; None if a version without a choice has constructed the run.

        Raises:
            RequestError: The simulator is not deployed any more.
        """
        return of_simulator(self.of(compute).definitions, simulator)

    def of(self, compute: ComputeConfig) -> Target:
        """Choose the kind for a job."""
        return self.single_node if compute.num_nodes == 1 else self.multi_node


class TargetVariables(Model):
    """The environment variables of submit_job that say where jobs go on AWS Batch."""

    # An error must not print the environment, which holds credentials.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_JOB_QUEUES")]
    job_definitions: Annotated[Json[Definitions], Field(alias="GAITWAY_JOB_DEFINITIONS")]
    """Their names: without a revision, the newest one that is active is taken. Their command takes the parameter
    `run_id`."""
    multi_node_job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_MULTI_NODE_JOB_QUEUES")]
    multi_node_job_definitions: Annotated[Json[Definitions], Field(alias="GAITWAY_MULTI_NODE_JOB_DEFINITIONS")]
    """Their names, also without a revision; each has one range of nodes, without an end, and the same parameter."""
    job_sizes: Annotated[Json[JobSizes], Field(alias="GAITWAY_JOB_SIZES")]
    job_tags: Annotated[Json[dict[str, str]], Field(alias="GAITWAY_JOB_TAGS")]

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read them.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls.model_validate(dict(variables))

    @property
    def targets(self) -> Targets:
        """Where jobs go."""
        return Targets(
            single_node=Target(self.job_queues, self.job_definitions),
            multi_node=Target(self.multi_node_job_queues, self.multi_node_job_definitions),
            sizes=self.job_sizes,
            tags=self.job_tags,
        )
