"""What the nodes of jobs say: copied from the file system, where each node has a file, to CloudWatch Logs.

How far a file has been copied is in a file beside it, so that an agent that is restarted goes on there. A line may be
copied twice if the agent is killed in between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.jobs import LogAddress
from gaitway.contracts.cluster import node_logs_name

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_logs.type_defs import InputLogEventTypeDef

logger = logging.getLogger(__name__)

_AT_ONCE_BYTES = 32_768
"""In one call, which takes 1,048,576 bytes with 26 for each event, and 10,000 events: one of each line here is too few
for either limit, since empty ones are left out (docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
API_PutLogEvents.html)."""
_PASSING: tuple[type[Exception], ...] = (OSError, *AWS_ERRORS)
_LINE_BYTES = 16_384
"""A longer line is split, as Docker's driver splits it."""


class NodeLogs:
    """Copies the logs of jobs.

    Args:
        logs: A client of CloudWatch Logs.
        group: Name of the log group.
        efs_root: Where the file system is mounted.
    """

    def __init__(self, logs: CloudWatchLogsClient, group: str, efs_root: Path) -> None:
        self._logs = logs
        self._group = group
        self._efs_root = efs_root

    def copy(self, job_id: str) -> LogAddress | None:
        """Copy what the nodes of a job have said since the last time.

        Returns:
            Where the log of the main node is; None as long as there is none. What cannot be copied now is copied later.
        """
        files = self._files(job_id)
        for path in files:
            try:
                self._copy(path, self._stream(job_id, path))
            except _PASSING as error:
                logger.warning("%s is not copied to CloudWatch Logs yet: %s", path, error)
        return LogAddress(self._group, self._stream(job_id, files[0])) if files else None

    def _files(self, job_id: str) -> list[Path]:
        """List the logs of a job's nodes, the main one first."""
        directory = self._efs_root / node_logs_name(job_id)
        return sorted(directory.glob("node-*.log"), key=lambda path: int(path.stem.rpartition("-")[2]))

    def _stream(self, job_id: str, path: Path) -> str:
        return f"{job_id}/{path.stem}"

    def _copy(self, path: Path, stream: str) -> None:
        mark = path.with_suffix(".copied")
        position = int(mark.read_text()) if mark.exists() else 0
        if position == 0 and path.stat().st_size:
            self._create(stream)
        with path.open("rb") as file:
            file.seek(position)
            while chunk := _whole_lines(file.read(_AT_ONCE_BYTES)):
                if events := list(_events(chunk)):
                    self._logs.put_log_events(logGroupName=self._group, logStreamName=stream, logEvents=events)
                position += len(chunk)
                mark.write_text(str(position))
                file.seek(position)

    def _create(self, stream: str) -> None:
        try:
            self._logs.create_log_stream(logGroupName=self._group, logStreamName=stream)
        except self._logs.exceptions.ResourceAlreadyExistsException:
            return


def _whole_lines(chunk: bytes) -> bytes:
    """Leave out a line that is still being written; one that fills the chunk is taken as it is."""
    whole, newline, _ = chunk.rpartition(b"\n")
    return whole + newline if newline or len(chunk) < _AT_ONCE_BYTES else chunk


def _events(chunk: bytes) -> Iterator[InputLogEventTypeDef]:
    now = int(time.time() * 1000)
    for line in chunk.splitlines():
        for start in range(0, len(line), _LINE_BYTES):
            part = line[start : start + _LINE_BYTES].decode(errors="replace")
            # CloudWatch Logs refuses empty messages.
            if part.strip():
                yield {"timestamp": now, "message": part}
