"""Record the attempt's history, for the run's results, and for the next attempt if this one is killed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from gaitway.contracts.artifacts import HISTORY
from gaitway.contracts.history import AttemptHistory, Cost, RunHistory
from gaitway.outputs.history import read_history, together, total_cost
from gaitway.outputs.results import write_json
from gaitway.runner.background import Background
from gaitway.runner.reporting.cost import cost_of
from gaitway.runner.reporting.record import interval_seconds

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0
"""A file system that hangs must not stop the report of the run's end."""
SUCCEEDED = "succeeded"
"""Outcome of an attempt that has done everything that was requested."""


class History:
    """The run's attempts. While it is entered, it is kept on EFS; the run's lock allows that to one attempt at a time.

    A write that fails is logged, and never fails the run.

    Args:
        directory: The run's directory.
        accepted_at: When the run was requested.
        attempt: This attempt, as it begins.
        recorded_cost: Cost of earlier attempts, from the run's record.
        now: Returns the time.
    """

    def __init__(
        self,
        directory: Path,
        accepted_at: datetime,
        attempt: AttemptHistory,
        recorded_cost: Cost | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        self._accepted_at = accepted_at
        self._attempt = attempt
        self._earlier: list[AttemptHistory] = []
        self._earlier_cost = recorded_cost
        self._now = now
        self._lock = threading.Lock()
        self._is_over = False
        self._background = Background(
            "history", self._write, interval_seconds, begins_at_once=True, last_step=self._write
        )

    def __enter__(self) -> Self:
        earlier = read_history(self._directory)
        with self._lock:
            self._earlier = [one for one in earlier.attempts if one.number < self._attempt.number] if earlier else []
            self._earlier_cost = total_cost(earlier, self._earlier_cost)
            queued_at = self._earlier[-1].last_seen_at if self._earlier else self._accepted_at
            self._attempt = self._attempt.model_copy(update={"queued_at": queued_at})
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.note(outcome=SUCCEEDED if error is None else type(error).__name__)
        self._seen()
        self._is_over = True
        self._background.close(_CLOSE_SECONDS)

    def note(self, **fields: object) -> None:
        """Note fields of this attempt; they are written soon."""
        with self._lock:
            if self._is_over:
                return
            self._attempt = self._attempt.model_copy(update=fields)
        self._background.wake()

    def note_progress(self) -> bool:
        """Note an iteration or episode; return whether it was the run's very first one."""
        if self._attempt.first_progress_at is not None:
            return False
        self.note(first_progress_at=self._now())
        return all(attempt.first_progress_at is None for attempt in self._earlier)

    @property
    def cost(self) -> Cost | None:
        """What the run has cost so far, over all attempts; None if no price is known."""
        return together([self._earlier_cost, self.attempt_cost])

    @property
    def attempt_cost(self) -> Cost | None:
        """What this attempt has cost so far; None if no price is known."""
        return self._seen().cost

    @property
    def needs_cameras(self) -> bool:
        """Whether an earlier attempt found out that the task needs cameras."""
        return any(attempt.with_cameras for attempt in self._earlier)

    @property
    def accepted_at(self) -> datetime:
        """When the run was requested."""
        return self._accepted_at

    def so_far(self, outcome: str | None = None) -> RunHistory:
        """Describe all attempts up to this moment.

        Args:
            outcome: The outcome of this attempt, which is about to end.
        """
        seen = self._seen()
        latest = seen if outcome is None else seen.model_copy(update={"outcome": outcome})
        return RunHistory(accepted_at=self._accepted_at, attempts=[*self._earlier, latest])

    def _seen(self) -> AttemptHistory:
        """Describe this attempt up to now, or up to its end."""
        with self._lock:
            if not self._is_over:
                until = self._now()
                since = self._attempt.image_pull_began_at or self._attempt.began_at
                seen = {"last_seen_at": until, "cost": cost_of(self._attempt.machine, since, until)}
                self._attempt = self._attempt.model_copy(update=seen)
            return self._attempt

    def _write(self) -> None:
        try:
            write_json(self._directory / HISTORY, self.so_far())
        except OSError as error:
            logger.warning("%s could not be written: %s", HISTORY, error)
