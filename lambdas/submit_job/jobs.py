"""The Batch jobs of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lambdas.job_sizes import JobSize, JobSizes, job_size

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient

    from gaitway.contracts.request import ComputeConfig

_ALL_NODES = "0:"
"""The range of the job definition: an override must name the same (github.com/aws/aws-parallelcluster/pull/964)."""
_ENDED = frozenset({"SUCCEEDED", "FAILED"})


@dataclass(frozen=True)
class Target:
    """Where jobs of a kind go, and what they are."""

    queue: str
    definition: str


@dataclass(frozen=True)
class Jobs:
    """Submits jobs, and finds those that live."""

    batch: BatchClient
    single_node: Target
    multi_node: Target
    sizes: JobSizes

    def submit(self, name: str, run_id: str, compute: ComputeConfig, timeout_seconds: int) -> str:
        """Submit a run's job.

        Returns:
            Its id.

        Raises:
            RequestError: Nothing that is deployed has room for it.
        """
        target = self._target(compute)
        overrides = _overrides(job_size(compute, self.sizes))
        size: dict[str, Any] = (
            {"containerOverrides": overrides}
            if compute.num_nodes == 1
            else {
                "nodeOverrides": {
                    "numNodes": compute.num_nodes,
                    "nodePropertyOverrides": [{"targetNodes": _ALL_NODES, "containerOverrides": overrides}],
                }
            }
        )
        # An id and not a document: overrides are limited in size (docs.aws.amazon.com/batch/latest/APIReference/
        # API_ContainerOverrides.html), and everybody who may describe the job sees them.
        job = self.batch.submit_job(
            jobName=name,
            jobQueue=target.queue,
            jobDefinition=target.definition,
            parameters={"run_id": run_id},
            timeout={"attemptDurationSeconds": timeout_seconds},
            **size,
        )
        return job["jobId"]

    def lives(self, job_id: str) -> bool:
        """Tell whether a job has not ended yet."""
        jobs = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return any(job["status"] not in _ENDED for job in jobs)

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name; None where none of that name lives."""
        pages = self.batch.get_paginator("list_jobs").paginate(
            jobQueue=self._target(compute).queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        living = (job["jobId"] for page in pages for job in page["jobSummaryList"] if job["status"] not in _ENDED)
        return next(living, None)

    def _target(self, compute: ComputeConfig) -> Target:
        return self.single_node if compute.num_nodes == 1 else self.multi_node


def _overrides(size: JobSize) -> dict[str, Any]:
    """Write a size as Batch wants it; a requirement of no GPU is refused."""
    needs = {"VCPU": size.vcpus, "MEMORY": size.memory_mib} | ({"GPU": size.gpus} if size.gpus else {})
    return {"resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs.items()]}
