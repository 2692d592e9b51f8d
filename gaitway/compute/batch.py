"""Jobs on AWS Batch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.batch_job import STATES, read_job
from gaitway.compute.jobs import Described, Job, JobRequest, JobState
from gaitway.compute.sizes import JobSize, job_size
from gaitway.compute.targets import Targets

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_batch.literals import JobStatusType
    from types_boto3_batch.type_defs import JobDetailTypeDef

    from gaitway.contracts.request import ComputeConfig

_MAX_DESCRIBED = 100
"""In one call of DescribeJobs: docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html"""
_ALL_NODES = "0:"
"""The range of the job definition: an override must name the same (github.com/aws/aws-parallelcluster/pull/964)."""


class BatchJobs:
    """`Jobs` on AWS Batch.

    Args:
        batch: A Batch client.
        queues: ARNs of the queues whose jobs are ours; needed to list jobs only.
    """

    def __init__(self, batch: BatchClient, queues: Sequence[str] = ()) -> None:
        self._batch = batch
        self._queues = queues

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`."""
        detail = self.detail(job_id, node)
        return read_job(detail) if detail is not None else None

    def detail(self, job_id: str, node: int | None = None) -> JobDetailTypeDef | None:
        """Describe a job, or one of its nodes, with all that Batch says of it.

        Batch knows a job for 7 days after its end: docs.aws.amazon.com/batch/latest/userguide/job_states.html
        """
        address = job_id if node is None else f"{job_id}#{node}"
        found = self._batch.describe_jobs(jobs=[address])["jobs"]
        return found[0] if found else None

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs: see `Jobs.describe`."""
        jobs: dict[str, Job] = {}
        unanswered: dict[str, Exception] = {}
        asked = list(job_ids)
        for start in range(0, len(asked), _MAX_DESCRIBED):
            group = asked[start : start + _MAX_DESCRIBED]
            try:
                described = self._batch.describe_jobs(jobs=group)["jobs"]
            except AWS_ERRORS as error:
                unanswered |= dict.fromkeys(group, error)
            else:
                jobs |= {job.id: job for job in map(read_job, described)}
        return Described(jobs, unanswered)

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended: see `Jobs.living`."""
        pages = self._batch.get_paginator("list_jobs")
        for queue in self._queues:
            for status, state in STATES.items():
                if state in (JobState.WAITING, JobState.RUNNING):
                    for page in pages.paginate(jobQueue=queue, jobStatus=cast("JobStatusType", status)):
                        yield from map(read_job, page["jobSummaryList"])

    def stop(self, job_id: str, reason: str) -> None:
        """End a job: see `Jobs.stop`.

        It does nothing to one that has ended: docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
        """
        self._batch.terminate_job(jobId=job_id, reason=reason)


class BatchSubmitter(BatchJobs):
    """`Submitter` to AWS Batch.

    Args:
        batch: A Batch client.
        targets: Where jobs go.
    """

    def __init__(self, batch: BatchClient, targets: Targets) -> None:
        super().__init__(batch)
        self._targets = targets

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name: see `Submitter.find_living`."""
        pages = self._batch.get_paginator("list_jobs").paginate(
            jobQueue=self._targets.queue(compute), filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = (read_job(summary) for page in pages for summary in page["jobSummaryList"])
        return next((job.id for job in found if not job.has_ended), None)

    def submit(self, job: JobRequest) -> str:
        """Submit a run's job: see `Submitter.submit`."""
        return self._batch.submit_job(**submission(job, self._targets))["jobId"]


def submission(job: JobRequest, targets: Targets) -> dict[str, Any]:
    """Write the request of SubmitJob for a run's job.

    Raises:
        RequestError: The job does not fit what is deployed.
    """
    compute = job.compute
    overrides = _overrides(job_size(compute, targets.sizes))
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
    # An id and not a document: overrides are limited in size
    # (docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html), and everyone who may describe the
    # job can read them.
    return {
        "jobName": job.name,
        "jobQueue": targets.queue(compute),
        "jobDefinition": targets.definition(compute, job.simulator),
        "parameters": {"run_id": job.run_id},
        "timeout": {"attemptDurationSeconds": job.timeout_seconds},
        "tags": targets.tags,
        **size,
    }


def documents(job: JobRequest, targets: Targets) -> dict[str, str]:
    """Write what `BatchSubmitter.submit` sends, by file name: see `gaitway.compute.backends.documents_of`."""
    return {"submit-job.json": json.dumps(submission(job, targets), indent=2) + "\n"}


def _overrides(size: JobSize) -> dict[str, Any]:
    """Write a size as Batch wants it; a requirement of no GPU is refused."""
    needs = {"VCPU": size.vcpus, "MEMORY": size.memory_mib} | ({"GPU": size.gpus} if size.gpus else {})
    return {"resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs.items()]}
