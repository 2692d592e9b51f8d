"""The queues and definitions of a deployment's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import ConfigDict, Field, Json

from gaitway.compute.sizes import JobSizes, job_size
from gaitway.contracts.model import Model
from gaitway.contracts.request import ComputeConfig

Queues = dict[int, str]
"""Names or ARNs of queues, by the number of GPUs of their instances. A queue is first in, first out, so that a job that
waits for four GPUs would block those behind it that need one:
docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html"""


@dataclass(frozen=True)
class Target:
    """Queue and definition of jobs of a kind."""

    queues: Queues
    definition: str


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

    def of(self, compute: ComputeConfig) -> Target:
        """Choose the kind for a job."""
        return self.single_node if compute.num_nodes == 1 else self.multi_node


class TargetVariables(Model):
    """The environment variables of submit_job that say where jobs go on AWS Batch."""

    # An error must not print the environment, which holds credentials.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_JOB_QUEUES")]
    job_definition: Annotated[str, Field(alias="GAITWAY_JOB_DEFINITION", min_length=1)]
    """Its name: without a revision, the newest one that is active is taken. Its command takes the parameter
    `run_id`."""
    multi_node_job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_MULTI_NODE_JOB_QUEUES")]
    multi_node_job_definition: Annotated[str, Field(alias="GAITWAY_MULTI_NODE_JOB_DEFINITION", min_length=1)]
    """Its name, also without a revision; has one range of nodes, without an end, and takes the same parameter."""
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
            single_node=Target(self.job_queues, self.job_definition),
            multi_node=Target(self.multi_node_job_queues, self.multi_node_job_definition),
            sizes=self.job_sizes,
            tags=self.job_tags,
        )
