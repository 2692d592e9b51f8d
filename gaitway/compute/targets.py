"""The queues and definitions of a deployment's jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from gaitway.compute.sizes import JobSizes, job_size
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
