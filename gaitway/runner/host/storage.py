"""Errors of disks and file systems: the runner waits until they are over, or reports the path and how full it is."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tenacity import retry_if_exception

from gaitway import formatting
from gaitway.contracts.errors import StorageError
from gaitway.runner.retry import retrying_if
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FULL = "free space there: on a machine's own disk, save less (no video, fewer checkpoints) or deploy with more storage"
_NEXT_STEPS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: f"{_FULL}; EFS reports this if one of its own limits is reached",
    errno.EFBIG: "the file is larger than the file system allows: save less into one file",
    errno.EIO: "check that EFS, its mount targets and their security group are as they were deployed",
    errno.ESTALE: "it was deleted or replaced while it was open: do not change the directories of active runs",
    errno.EROFS: "the file system has become read-only, most often after an error of its disk: take another machine",
}
"""The error codes of file systems. EFS's own limits, and its I/O errors:
docs.aws.amazon.com/efs/latest/ug/troubleshooting-efs-fileop-errors.html."""


def is_refusal(error: BaseException) -> bool:
    """Return whether an error comes from the file system itself, and not from a wrong request to it."""
    return isinstance(error, OSError) and error.errno in _NEXT_STEPS


def storage_error(error: BaseException, directory: Path) -> StorageError | None:
    """Describe a file system's error; None if the error has another cause.

    Args:
        error: What was raised.
        directory: The run's directory, for an error that does not name its file.
    """
    if not isinstance(error, OSError) or error.errno not in _NEXT_STEPS:
        return None
    name = error.filename
    place = os.fsdecode(name) if isinstance(name, str | bytes) else f"a file of the run, most likely below {directory}"
    return StorageError(
        f"a file system refuses {place}: {os.strerror(error.errno)} ({errno.errorcode[error.errno]}). "
        f"{fullness(directory)}. What to do: {_NEXT_STEPS[error.errno]}. What the run has saved is kept: start it "
        "again, and it resumes from its newest checkpoint"
    )


def fullness(directory: Path) -> str:
    """Describe how full the file systems of a run are: the run's directory, temporary files, shared memory."""
    return "; ".join(_fullness_of(_that_exists(directory), Path(tempfile.gettempdir()), Path("/dev/shm")))  # noqa: S108


def patiently(step: Callable[[], T], directory: Path, stop: StopRequest) -> T:
    """Run a step that can be repeated, and repeat it for some minutes while a file system refuses it.

    Repeats do not count as progress, so heartbeats end as for every run that makes no progress.

    Args:
        step: The step.
        directory: The run's directory.
        stop: Ends the waiting.

    Raises:
        StorageError: The file system still refuses it.
    """
    try:
        return retrying_if(retry_if_exception(is_refusal), stop.sleep)(step)
    except OSError as error:
        raise storage_error(error, directory) or error from error


def _fullness_of(*places: Path) -> Iterator[str]:
    seen: set[int] = set()
    for place in places:
        try:
            device, status = place.stat().st_dev, os.statvfs(place)
        except OSError as error:
            yield f"{place}: {error.strerror}"
            continue
        if device not in seen:
            seen.add(device)
            free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
            files = ", no more files" if status.f_files and not status.f_favail else ""
            yield f"{place} has {formatting.size(free)} of {formatting.size(total)} free{files}"


def _that_exists(directory: Path) -> Path:
    return next((place for place in (directory, *directory.parents) if place.exists()), directory)
