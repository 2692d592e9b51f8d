"""A Batch job, as far as the functions look at it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from gaitway.contracts.model import Model

if TYPE_CHECKING:
    from types_boto3_batch.literals import JobStatusType

_ENDED = frozenset({"SUCCEEDED", "FAILED"})
_WAITING = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING"})
LIVING: tuple[JobStatusType, ...] = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
"""The states of a job that has not ended."""
_NAME = re.compile(r"(?P<run_id>run-[0-9a-f]{20})-[0-9a-f]{12}")
"""submit_job names a job after the inner execution, which launch names after run and caller."""


class _Batch(Model):
    """What Batch says, in its own words; it may say more at any time."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, extra="ignore", strict=False
    )


class JobContainer(_Batch):
    """What became of a container."""

    exit_code: int | None = None
    reason: str | None = None


class JobAttempt(_Batch):
    """An attempt that has ended."""

    container: JobContainer = JobContainer()
    status_reason: str | None = None


class Job(_Batch):
    """A job, as DescribeJobs and the events of its states describe it."""

    job_id: str
    job_name: str
    status: str
    status_reason: str | None = None
    created_at: int | None = None
    """In milliseconds since the epoch."""
    stopped_at: int | None = None
    container: JobContainer | None = None
    """None for a multi-node parallel job: its nodes have one each."""
    attempts: tuple[JobAttempt, ...] = ()
    is_cancelled: bool = False
    is_terminated: bool = False

    @property
    def waits(self) -> bool:
        """Whether it waits for a machine, or for its container on one."""
        return self.status in _WAITING

    @property
    def has_ended(self) -> bool:
        """Whether it can change no more."""
        return self.status in _ENDED

    @property
    def is_node(self) -> bool:
        """Whether it is a node, which belongs to a job and is addressed as `<job id>#<node>`."""
        return "#" in self.job_id

    @property
    def exit_code(self) -> int | None:
        """Of the last attempt's container; None where there was none."""
        if self.container is not None and self.container.exit_code is not None:
            return self.container.exit_code
        return self.attempts[-1].container.exit_code if self.attempts else None

    def age_seconds(self, now: datetime) -> float:
        """Since it was submitted; 0 where Batch does not tell."""
        return _seconds_since(self.created_at, now)

    def ended_seconds_ago(self, now: datetime) -> float:
        """Since it ended; 0 where Batch does not tell."""
        return _seconds_since(self.stopped_at, now)


def _seconds_since(moment_ms: int | None, now: datetime) -> float:
    if moment_ms is None:
        return 0.0
    return max(0.0, (now - datetime.fromtimestamp(moment_ms / 1000, UTC)).total_seconds())


def run_id_of_job(job_name: str) -> str | None:
    """Read whose job it is from its name; None where that is no name of ours."""
    match = _NAME.fullmatch(job_name)
    return match["run_id"] if match else None
