"""What a run's job says: the log stream of its newest attempt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import boto3

    from gaitway.contracts.run import RunRecord

_DEFAULT_GROUP = "/aws/batch/job"
_POLL_SECONDS = 1.0
_ENDED = ("SUCCEEDED", "FAILED")


class LogNotFoundError(Exception):
    """There is no log to read, now or any more."""


@dataclass(frozen=True)
class LogStream:
    """Where one attempt of a job writes."""

    group: str
    name: str


@dataclass(frozen=True)
class LogEvent:
    """A line of a log."""

    timestamp: int
    """Milliseconds since the epoch."""
    message: str


class RunLogs:
    """Reads the logs of runs.

    Args:
        session: Where clients come from.
    """

    def __init__(self, session: boto3.Session) -> None:
        self._batch = session.client("batch")
        self._logs = session.client("logs")

    def stream(self, record: RunRecord, node: int = 0) -> LogStream | None:
        """Find the log of a run's newest attempt; None where no container has begun to run yet.

        Args:
            record: The run's record.
            node: Which node of a run on several, from 0, the main one.

        Raises:
            LogNotFoundError: There is no such node, or AWS Batch has forgotten the job.
        """
        job = self._job(record, node)
        return _stream_of(job) if job else None

    def _job(self, record: RunRecord, node: int) -> Any:  # noqa: ANN401 - of what Batch tells, three fields are read
        """Describe the job of a run, or of one of its nodes; None where there is none yet."""
        nodes = record.spec.compute.num_nodes if record.spec else 1
        if node >= nodes:
            raise LogNotFoundError(f"{record.run_id} has no node {node}, allowed: 0 to {nodes - 1}")
        if record.job_id is None:
            return None
        job_id = f"{record.job_id}#{node}" if nodes > 1 else record.job_id
        jobs = self._batch.describe_jobs(jobs=[job_id])["jobs"]
        if not jobs:
            # docs.aws.amazon.com/batch/latest/userguide/job_states.html: for 7 days after their end.
            raise LogNotFoundError(
                f"AWS Batch has forgotten the job of {record.run_id}, as it does a week after the end: what the "
                f"simulator said is in simulator.log among the results (`gaitway results {record.run_id}`)"
            )
        return jobs[0]

    def read(self, stream: LogStream) -> list[LogEvent]:
        """Read all of a stream."""
        events, _ = self._read_on(stream, None)
        return events

    def follow(self, look: Callable[[], RunRecord], node: int = 0) -> Iterator[LogEvent]:
        """Read what a run says until it has ended, from one attempt to the next.

        Args:
            look: Reads the run's record.
            node: Which node of a run on several.
        """
        stream, token = None, None
        while True:
            # Looked at before the log is read: what has ended says nothing after that. A job outlives its run's end by
            # what it uploads then.
            record = look()
            job = self._job(record, node)
            newest = _stream_of(job) if job else None
            if stream is not None:
                events, token = self._read_on(stream, token)
                yield from events
            if newest is not None and newest != stream:
                stream, token = newest, None
            elif record.state.ended and (job is None or job["status"] in _ENDED):
                return
            else:
                time.sleep(_POLL_SECONDS)

    def _read_on(self, stream: LogStream, token: str | None) -> tuple[list[LogEvent], str | None]:
        """Read from where a token points to the end; say from where to read on."""
        found: list[LogEvent] = []
        while True:
            position: Any = {"nextToken": token} if token else {}
            try:
                page = self._logs.get_log_events(
                    logGroupName=stream.group, logStreamName=stream.name, startFromHead=True, **position
                )
            except self._logs.exceptions.ResourceNotFoundException:
                # The stream comes with its first line.
                return found, token
            found += [LogEvent(event["timestamp"], event["message"]) for event in page["events"]]
            # At the end, CloudWatch gives the same token back; a page in between may be empty.
            if page["nextForwardToken"] == token:
                return found, token
            token = page["nextForwardToken"]


def _stream_of(job: Any) -> LogStream | None:  # noqa: ANN401
    """Name the log of a job's newest attempt; None where it has none yet."""
    container = job.get("container", {})
    attempts = job.get("attempts", [])
    names = [container.get("logStreamName"), *(item["container"].get("logStreamName") for item in attempts[::-1])]
    name = next((name for name in names if name), None)
    if name is None:
        return None
    options = container.get("logConfiguration", {}).get("options", {})
    return LogStream(options.get("awslogs-group", _DEFAULT_GROUP), name)
