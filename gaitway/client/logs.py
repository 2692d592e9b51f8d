"""What a run's job says: the log stream of its newest attempt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaitway.compute.backends import jobs_of
from gaitway.compute.jobs import Job, LogAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import boto3

    from gaitway.commands import Commands
    from gaitway.contracts.run import RunRecord

_POLL_SECONDS = 1.0


class LogNotFoundError(Exception):
    """There is no log to read, not yet or no longer."""


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
        commands: Writes the commands that are suggested.
        run_table: Name of the run table, which has the jobs of clusters.
    """

    def __init__(self, session: boto3.Session, commands: Commands, run_table: str) -> None:
        self._commands = commands
        client: Any = session.client  # the stubs know services by literal name only
        self._jobs = jobs_of(client, variables={"GAITWAY_RUN_TABLE": run_table})
        self._logs = session.client("logs")

    def stream(self, record: RunRecord, node: int = 0) -> LogAddress | None:
        """Find the log of a run's newest attempt; None where no container has begun to run yet.

        Args:
            record: The run's record.
            node: Which node of a run on several, from 0, the main one.

        Raises:
            LogNotFoundError: There is no such node, or the job is forgotten.
        """
        return self._log_of(self._job(record, node))

    def _log_of(self, job: Job | None) -> LogAddress | None:
        """Find the log of a job's newest attempt; None where there is none yet."""
        if job is None or job.log is None or not job.log.is_prefix:
            return job.log if job else None
        try:
            found = self._logs.describe_log_streams(logGroupName=job.log.group, logStreamNamePrefix=job.log.stream)
        except self._logs.exceptions.ResourceNotFoundException:
            return None
        # By their names, which end with the time.
        names = sorted(stream["logStreamName"] for stream in found["logStreams"])
        return LogAddress(job.log.group, names[-1]) if names else None

    def _job(self, record: RunRecord, node: int) -> Job | None:
        """Describe the job of a run, or of one of its nodes; None where there is none yet."""
        nodes = record.spec.compute.num_nodes if record.spec else 1
        if node >= nodes:
            raise LogNotFoundError(f"{record.run_id} has no node {node}, allowed: 0 to {nodes - 1}")
        if record.job_id is None:
            return None
        job = self._jobs.get(record.job_id, node if nodes > 1 else None)
        if job is None:
            command = self._commands.gaitway(f"results {record.run_id}")
            raise LogNotFoundError(
                f"the job of {record.run_id} is not known any more, which is so a week after its end: what the "
                f"simulator said is in simulator.log among the results (`{command}`)"
            )
        return job

    def read(self, stream: LogAddress) -> list[LogEvent]:
        """Read all of a stream."""
        events, _ = self._read_on(stream, None)
        return events

    def follow(self, look: Callable[[], RunRecord], node: int = 0) -> Iterator[LogEvent]:
        """Read a run's log until the run has ended, from one attempt to the next.

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
            newest = self._log_of(job)
            if stream is not None:
                events, token = self._read_on(stream, token)
                yield from events
            if newest is not None and newest != stream:
                stream, token = newest, None
            elif record.state.ended and (job is None or job.has_ended):
                return
            else:
                time.sleep(_POLL_SECONDS)

    def _read_on(self, stream: LogAddress, token: str | None) -> tuple[list[LogEvent], str | None]:
        """Read from where a token points to the end; say from where to read on."""
        found: list[LogEvent] = []
        while True:
            position: Any = {"nextToken": token} if token else {}
            try:
                page = self._logs.get_log_events(
                    logGroupName=stream.group, logStreamName=stream.stream, startFromHead=True, **position
                )
            except self._logs.exceptions.ResourceNotFoundException:
                # The stream comes with its first line.
                return found, token
            found += [LogEvent(event["timestamp"], event["message"]) for event in page["events"]]
            # At the end, CloudWatch gives the same token back; a page in between may be empty.
            if page["nextForwardToken"] == token:
                return found, token
            token = page["nextForwardToken"]
