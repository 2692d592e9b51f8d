"""A job on a cluster, as the cluster's agent reports it: in the run table, and as an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import AwareDatetime

from gaitway.aws.cluster_jobs import JobItem
from gaitway.compute import ends
from gaitway.compute.jobs import Job, JobState, LogAddress
from gaitway.contracts.cluster import name_of_job
from gaitway.contracts.model import Stored

SERVICE = "The cluster"
"""As long as its agent has not said what it is."""


class JobReport(Stored):
    """What an agent knows of a job."""

    job_id: str
    job_name: str
    state: str
    """A value of `JobState`."""
    service: str
    end: str | None = None
    """A key of `ends.KNOWN`."""
    reason: str = ""
    exit_code: int | None = None
    attempts: int = 0
    created_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    log_group: str | None = None
    log_stream: str | None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Describe a job."""
        return cls(
            job_id=job.id,
            job_name=job.name,
            state=job.state,
            service=job.service,
            end=ends.name_of(job.end),
            reason=job.reason,
            exit_code=job.exit_code,
            attempts=job.attempts,
            created_at=job.created_at,
            ended_at=job.ended_at,
            log_group=job.log.group if job.log else None,
            log_stream=job.log.stream if job.log else None,
        )

    def job(self) -> Job:
        """Return the job."""
        known = {state.value: state for state in JobState}
        log = LogAddress(self.log_group, self.log_stream) if self.log_group and self.log_stream else None
        return Job(
            id=self.job_id,
            name=self.job_name,
            # A state that is new counts as one of an active job.
            state=known.get(self.state, JobState.RUNNING),
            service=self.service,
            end=ends.KNOWN.get(self.end or ""),
            reason=self.reason,
            exit_code=self.exit_code,
            attempts=self.attempts,
            created_at=self.created_at,
            ended_at=self.ended_at,
            log=log,
        )


def read_event(event: Mapping[str, Any]) -> Job:
    """Read the job whose state has changed."""
    return JobReport.read(event["detail"]).job()


def read_item(item: JobItem) -> Job:
    """Read a job from the run table; one that was only ordered waits."""
    if item.report is not None:
        return JobReport.read(item.report).job()
    return Job(
        id=item.job_id,
        name=name_of_job(item.job_id),
        state=JobState.WAITING,
        service=SERVICE,
        created_at=item.created_at,
    )
