"""One attempt at a time in a run's directory: an older one may still be ending when the next one begins."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitway.contracts.artifacts import LOCK_FILE
from gaitway.contracts.errors import InterruptedRunError
from gaitway.contracts.limits import RUN_LOCK_SECONDS
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


@contextmanager
def locked(directory: Path, stop: StopRequest, wait_seconds: float = RUN_LOCK_SECONDS) -> Iterator[None]:
    """Lock the run's directory, which is created if it does not exist.

    The lock ends with the process, in whatever way that ends.

    Args:
        directory: The run's directory.
        stop: Ends the waiting.
        wait_seconds: How long to wait for an attempt that is ending.

    Raises:
        InterruptedRunError: Another attempt still holds the lock after that time.
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
