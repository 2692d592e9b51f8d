"""A request to end the run early: from a signal, or because the caller no longer waits."""

from __future__ import annotations

import time

from gaitway.contracts.errors import GaitwayError

_POLL_SECONDS = 0.1


class StopRequest:
    """Set once, read often. There is no lock: a signal handler may set it while the same thread reads it."""

    def __init__(self) -> None:
        self._reason: GaitwayError | None = None

    def request(self, reason: GaitwayError) -> None:
        """Request the run to end; the first reason is kept."""
        if self._reason is None:
            self._reason = reason

    @property
    def is_requested(self) -> bool:
        """Whether the run must end."""
        return self._reason is not None

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        if self._reason is not None:
            raise self._reason

    def sleep(self, seconds: float) -> None:
        """Sleep; when a stop is requested, wake up and raise its reason."""
        wake_up = time.monotonic() + seconds
        while (left := wake_up - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _POLL_SECONDS))
        self.check()
