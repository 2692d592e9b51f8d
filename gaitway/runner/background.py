"""Repeat a step in a thread beside the run; its errors never fail the run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Background:
    """Runs a step at intervals, or when it is woken, in its own thread.

    Any exception of a step is logged, and the next step follows: an unexpected error must not end the
    heartbeat of an active run. An error that repeats is logged once. A step that has nothing more to do calls
    `end`.

    Args:
        name: Name of the thread, for logs.
        step: The step.
        interval: Seconds between the end of a step and the next one; or a function of the seconds since the start.
        begins_at_once: Whether the first step comes before the first interval, and always runs.
        last_step: Called when the thread is closed, unless a step has called `end`.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        interval: float | Callable[[float], float],
        *,
        begins_at_once: bool = False,
        last_step: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._step = step
        self._interval = interval
        self._begins_at_once = begins_at_once
        self._last_step = last_step
        self._latest_error: tuple[type[Exception], str] | None = None
        self._over = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Run the next step now, or right after the current one."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait within a step; return whether there is nothing more to do."""
        return self._over.wait(seconds)

    @property
    def is_over(self) -> bool:
        """Whether no further step follows, except the last one."""
        return self._over.is_set()

    def end(self) -> None:
        """Run no further step. A step calls this; it does not wait."""
        self._last_step = None
        self._over.set()
        self._woken.set()

    def close(self, seconds: float | None) -> None:
        """Run the last step, and wait for its end.

        Args:
            seconds: How long to wait; None: as long as it takes. A step that hangs continues, and ends with the
                process.
        """
        self._over.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        began = time.monotonic()
        if self._begins_at_once:
            self._take(self._step)
        while True:
            interval = self._interval(time.monotonic() - began) if callable(self._interval) else self._interval
            self._woken.wait(interval)
            self._woken.clear()
            if self._over.is_set():
                break
            self._take(self._step)
        if self._last_step is not None:
            self._take(self._last_step)

    def _take(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            described = (type(error), str(error))
            if described != self._latest_error:
                logger.warning("%s: a step failed, the next one follows", self._name, exc_info=error)
            self._latest_error = described
        else:
            self._latest_error = None
