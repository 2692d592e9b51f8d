"""The Batch jobs of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient

_ENDED = frozenset({"SUCCEEDED", "FAILED"})


@dataclass(frozen=True)
class Jobs:
    """Submits jobs, and finds those that live."""

    batch: BatchClient
    queue: str
    definition: str

    def submit(self, name: str, run_id: str, timeout_seconds: int) -> str:
        """Submit a run's job.

        Returns:
            Its id.
        """
        # An id and not a document: overrides are limited in size (docs.aws.amazon.com/batch/latest/APIReference/
        # API_ContainerOverrides.html), and everybody who may describe the job sees them.
        job = self.batch.submit_job(
            jobName=name,
            jobQueue=self.queue,
            jobDefinition=self.definition,
            parameters={"run_id": run_id},
            timeout={"attemptDurationSeconds": timeout_seconds},
        )
        return job["jobId"]

    def lives(self, job_id: str) -> bool:
        """Tell whether a job has not ended yet."""
        jobs = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return any(job["status"] not in _ENDED for job in jobs)

    def find_living(self, name: str) -> str | None:
        """Find a job by its name; None where none of that name lives."""
        pages = self.batch.get_paginator("list_jobs").paginate(
            jobQueue=self.queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        living = (job["jobId"] for page in pages for job in page["jobSummaryList"] if job["status"] not in _ENDED)
        return next(living, None)
