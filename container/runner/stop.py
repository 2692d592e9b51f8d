"""A wish to end the run early, from wherever it comes: a signal, or a caller that waits no more."""

from __future__ import annotations

import time

from gaitway.contracts.errors import GaitwayError

_POLL_SECONDS = 0.1


class StopRequest:
    """Set once, looked at often. No lock: a signal handler sets it while the same thread may be looking."""

    def __init__(self) -> None:
        self._reason: GaitwayError | None = None

    def request(self, reason: GaitwayError) -> None:
        """Ask the run to end; the first reason stands."""
        if self._reason is None:
            self._reason = reason

    @property
    def is_requested(self) -> bool:
        """Whether the run is to end."""
        return self._reason is not None

    def check(self) -> None:
        """Go on, or raise the reason to stop."""
        if self._reason is not None:
            raise self._reason

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until a stop is requested, which is then raised."""
        wake_up = time.monotonic() + seconds
        while (left := wake_up - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _POLL_SECONDS))
        self.check()
