"""How a simulator's process ends: after a known error with one line on stderr and an exit code, and without waiting."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import NoReturn

from gaitway.contracts.errors import PlatformError, RequestError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EXIT_STOPPED
from gaitway.simulators.common.errors import NotANumberError, TrainingStoppedError

_CODES: dict[type[Exception], int] = {
    RequestError: EXIT_BAD_REQUEST,
    NotANumberError: EXIT_NOT_A_NUMBER,
    TrainingStoppedError: EXIT_STOPPED,
    PlatformError: 1,
}
KNOWN_ERRORS = tuple(_CODES)
CLOSING_SECONDS = 20.0
"""How long a simulation may take to close: Kit may hang. The runner would wait a minute, and then kill the process."""


def report(error: Exception) -> int:
    """Write the error as one line, since the runner reports the last line; return the exit code."""
    # At once, with its end: print writes that separately, and another process of the training may come in between.
    sys.stderr.write(" ".join(str(error).split()) + "\n")
    return next(code for kind, code in _CODES.items() if isinstance(error, kind))


def end_soon() -> None:
    """Make sure that the process ends with success: its work is done, but a simulation may hang while it closes."""

    def wait() -> None:
        time.sleep(CLOSING_SECONDS)
        end(0)

    flush()
    threading.Thread(target=wait, name="closing", daemon=True).start()


def end(code: int) -> NoReturn:
    """End the process at once.

    Kit's own way of closing would replace any other exit code by 0, and the end of an interpreter with Warp takes
    seconds.
    """
    flush()
    os._exit(code)


def flush() -> None:
    """Flush the printed output: Kit may end the process before Python does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
