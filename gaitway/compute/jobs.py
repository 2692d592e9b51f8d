"""The port to the service that runs jobs: a job, and the operations on it, independent of the service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.ends import End
from gaitway.contracts.request import ComputeConfig
from gaitway.libraries.simulators import Simulator


class JobState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    """For a machine, or for its container on one."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """Its runner ended with exit code 0, which does not say that the run succeeded."""
    FAILED = "failed"
    """No further attempt follows."""

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.SUCCEEDED, JobState.FAILED)


@dataclass(frozen=True)
class LogAddress:
    """Where a job's output is in CloudWatch Logs."""

    group: str
    stream: str
    is_prefix: bool = False
    """Whether the stream's name is known only in its beginning: the newest of that beginning is meant."""


@dataclass(frozen=True)
class Job:
    """A job."""

    id: str
    """In a form that says which back end it is of: see `gaitway.compute.backends`."""
    name: str
    """As `RunExecution.job_name` gives it."""
    state: JobState
    service: str
    """What runs the job, as people call it: AWS Batch."""
    end: End | None = None
    """Why it ended, if the service's message or its exit code says so."""
    reason: str = ""
    """The service's own message about the end."""
    exit_code: int | None = None
    """Of the newest attempt; None if nothing was started, or if it is still active."""
    attempts: int = 0
    """How many attempts have ended."""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    log: LogAddress | None = None
    """Of the newest attempt; None if nothing was started yet."""

    @property
    def waits(self) -> bool:
        """Whether it waits for a machine, or for its container on one."""
        return self.state is JobState.WAITING

    @property
    def succeeded(self) -> bool:
        """Whether its runner ended with exit code 0."""
        return self.state is JobState.SUCCEEDED

    @property
    def has_ended(self) -> bool:
        """Whether its state is final."""
        return self.state.is_final

    def age_seconds(self, now: datetime) -> float:
        """Since it was submitted; 0 where that is not known."""
        return _seconds_since(self.created_at, now)

    def ended_seconds_ago(self, now: datetime) -> float:
        """Since it ended; 0 where that is not known."""
        return _seconds_since(self.ended_at, now)


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else 0.0


@dataclass(frozen=True)
class Described:
    """What became known of some jobs. A job that is neither here nor there is not known to its back end any more."""

    jobs: Mapping[str, Job]
    """By id."""
    unanswered: Mapping[str, Exception] = field(default_factory=dict)
    """By id: jobs about which the service gave no answer, not even that it does not know them; and why."""


def describe_each(get: Callable[[str], Job | None], job_ids: Collection[str]) -> Described:
    """Describe jobs with a call for each, where the service describes one at a time: see `Jobs.describe`."""
    jobs: dict[str, Job] = {}
    unanswered: dict[str, Exception] = {}
    for job_id in job_ids:
        try:
            job = get(job_id)
        except AWS_ERRORS as error:
            unanswered[job_id] = error
        else:
            if job is not None:
                jobs[job_id] = job
    return Described(jobs, unanswered)


@dataclass(frozen=True)
class JobRequest:
    """What a run asks of its back end: one job."""

    name: str
    """As `RunExecution.job_name` gives it."""
    run_id: str
    """The only information for the job's own process."""
    compute: ComputeConfig
    timeout_seconds: int
    """After which an attempt is ended."""
    task: str = ""
    """For people who look at jobs."""
    group_id: str | None = None
    """The run's group."""
    simulator: Simulator | None = None
    """What its image holds; None if the run was constructed by a version without a choice."""


class Jobs(Protocol):
    """The jobs of a deployment. A service that cannot be reached raises `gaitway.aws.errors.AWS_ERRORS`."""

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job; None if its service does not know it any more.

        Args:
            job_id: Its id.
            node: One of its nodes, from 0, if it has several.
        """
        ...

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs; raises nothing."""
        ...

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended, without more than id, name and state for certain."""
        ...

    def stop(self, job_id: str, reason: str) -> None:
        """Ask a job to end, without another attempt; a job that has ended is not changed."""
        ...


class Submitter(Protocol):
    """Where runs get their jobs."""

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`."""
        ...

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job that has not ended by its name; None where there is none.

        Args:
            name: Its name.
            compute: What the job was submitted with.

        Returns:
            Its id.
        """
        ...

    def submit(self, job: JobRequest) -> str:
        """Submit a run's job.

        Returns:
            Its id.

        Raises:
            RequestError: The job does not fit what is deployed.
        """
        ...
