"""One attempt at a time in a run's directory: an older one may still be ending when the next one begins."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from container.runner.stop import StopRequest
from gaitway.contracts.artifacts import LOCK_FILE
from gaitway.contracts.errors import InterruptedRunError

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 180.0
"""A job that is ended has 30 seconds; of a machine that vanished, EFS keeps the lock for some 90 seconds longer."""
_POLL_SECONDS = 0.5


@contextmanager
def locked(directory: Path, stop: StopRequest, wait_seconds: float = _WAIT_SECONDS) -> Iterator[None]:
    """Hold the run's directory, which is made if need be.

    The lock ends with the process, however that ends.

    Args:
        directory: The run's directory.
        stop: Ends the waiting.
        wait_seconds: How long to wait for an attempt that is ending.

    Raises:
        InterruptedRunError: Another attempt does not let go of it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + wait_seconds
    with (directory / LOCK_FILE).open("w") as file:
        while not _try_to_lock(file.fileno()):
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(
                    f"another attempt has been at work in {directory} for {wait_seconds:.0f} seconds: end its job"
                )
            logger.info("another attempt is still at work in %s: waiting for its end", directory)
            stop.sleep(_POLL_SECONDS)
        yield


def _try_to_lock(file_descriptor: int) -> bool:
    try:
        fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
