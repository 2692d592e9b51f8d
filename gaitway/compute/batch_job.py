"""A job in AWS Batch's terms, and their meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from gaitway.compute import ends
from gaitway.compute.batch_answer import BatchAnswer
from gaitway.compute.ends import End
from gaitway.compute.jobs import Job, JobState, LogAddress

SERVICE = "AWS Batch"
EVENT_TYPE = "Batch Job State Change"
DEFAULT_LOG_GROUP = "/aws/batch/job"

STATES = {
    "SUBMITTED": JobState.WAITING,
    "PENDING": JobState.WAITING,
    "RUNNABLE": JobState.WAITING,
    "STARTING": JobState.WAITING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
}
"""docs.aws.amazon.com/batch/latest/userguide/job_states.html"""


def _said(*patterns: tuple[str, End]) -> tuple[tuple[re.Pattern[str], End], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), end) for pattern, end in patterns)


BY_BATCH = _said(
    (r"Job attempt duration exceeded timeout", ends.TIME_IS_OVER),
    (r"MISCONFIGURATION:\s*SERVICE_ROLE", ends.NO_PERMISSION),
    (r"MISCONFIGURATION:", ends.NO_ROOM),
    (r"CAPACITY:", ends.NO_CAPACITY),
)
"""Ends that Batch itself causes: they differ from a user's only by the message, since both cancel the job."""

BY_ITSELF = _said(
    (
        r"CannotPull\w*Error.*(time(d )?.?out|deadline exceeded|temporar|toomanyrequests|too many requests|throttl"
        r"|connection (reset|refused)|TLS handshake|unexpected EOF|no such host|5\d\d )",
        ends.REGISTRY_UNREACHABLE,
    ),
    (r"CannotPull\w*Error.*no space left", ends.DISK_TOO_SMALL),
    (r"CannotPull\w*Error|CannotInspectContainerError.*image", ends.NO_IMAGE),
    (r"DockerTimeoutError|DockerStateError|AgentError|TaskCommunicationError", ends.RUNTIME_FAILED),
    (r"ResourceInitializationError|CannotCreateVolumeError|CannotMount", ends.NOT_PREPARED),
    (r"Cannot(Start|Create)Container\w*Error", ends.CANNOT_START),
    (r"Host EC2 .*terminated", ends.MACHINE_LOST),
    (r"OutOfMemoryError|OOM[- ]?kill", ends.OUT_OF_MEMORY),
)
"""Ends of containers and machines."""


class _LogConfiguration(BatchAnswer):
    options: dict[str, str] = Field(default_factory=dict)


class _Container(BatchAnswer):
    exit_code: int | None = None
    reason: str | None = None
    log_stream_name: str | None = None
    log_configuration: _LogConfiguration | None = None
    """Of the job, not of one of its attempts."""


class _Attempt(BatchAnswer):
    """An attempt that has ended."""

    container: _Container = _Container()
    status_reason: str | None = None


class _Job(BatchAnswer):
    """A job, as DescribeJobs, ListJobs and the events of its states describe it."""

    job_id: str
    job_name: str
    status: str
    status_reason: str | None = None
    created_at: int | None = None
    """In milliseconds since the epoch."""
    stopped_at: int | None = None
    container: _Container | None = None
    """None for a multi-node parallel job: its nodes have one each."""
    attempts: tuple[_Attempt, ...] = ()
    is_cancelled: bool = False
    is_terminated: bool = False


def read_job(document: Mapping[str, Any]) -> Job:
    """Read a job, as DescribeJobs, ListJobs and events describe it."""
    job = _Job.model_validate(document)
    words = "; ".join(dict.fromkeys(_words(job)))
    # A state that is new at AWS counts as one of an active job.
    state = STATES.get(job.status, JobState.RUNNING)
    return Job(
        id=job.job_id,
        name=job.job_name,
        state=state,
        service=SERVICE,
        end=_end(job, words) if state in (JobState.SUCCEEDED, JobState.FAILED) else None,
        reason=words,
        exit_code=_exit_code(job),
        attempts=len(job.attempts),
        created_at=_moment(job.created_at),
        ended_at=_moment(job.stopped_at),
        log=_log(job),
    )


def read_event(event: Mapping[str, Any]) -> Job | None:
    """Read the job whose state has changed; None if it is one of a job's nodes, and not the job.

    docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
    """
    job = read_job(event["detail"])
    # A node is addressed as `<job id>#<node>`.
    return None if "#" in job.id else job


def _words(job: _Job) -> Iterator[str]:
    """Collect Batch's messages about the job and its last attempt."""
    last = job.attempts[-1] if job.attempts else None
    words = (
        job.status_reason,
        last.status_reason if last else None,
        job.container.reason if job.container else None,
        last.container.reason if last else None,
    )
    return (word for word in words if word)


def _end(job: _Job, words: str) -> End | None:
    by_batch = _first(BY_BATCH, words)
    if by_batch is not None:
        return by_batch
    # With a reason that a user wrote, which says nothing about the container.
    return ends.STOPPED if job.is_terminated or job.is_cancelled else _first(BY_ITSELF, words)


def _first(known: tuple[tuple[re.Pattern[str], End], ...], words: str) -> End | None:
    return next((end for pattern, end in known if pattern.search(words)), None)


def _exit_code(job: _Job) -> int | None:
    if job.container is not None and job.container.exit_code is not None:
        return job.container.exit_code
    return job.attempts[-1].container.exit_code if job.attempts else None


def _log(job: _Job) -> LogAddress | None:
    container = job.container or _Container()
    newest_first = (container, *(attempt.container for attempt in job.attempts[::-1]))
    stream = next((one.log_stream_name for one in newest_first if one.log_stream_name), None)
    if stream is None:
        return None
    options = container.log_configuration.options if container.log_configuration else {}
    return LogAddress(options.get("awslogs-group", DEFAULT_LOG_GROUP), stream)


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds is not None else None
