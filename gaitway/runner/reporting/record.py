"""Keep the run's record up to date for everyone who watches the run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.aws.run_table import RunTable
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost
from gaitway.contracts.run import RunState
from gaitway.runner.background import Background

logger = logging.getLogger(__name__)

_SHORTEST_INTERVAL_SECONDS = 1.0
"""A small simulation makes dozens of iterations per second, but no reader needs more updates than this."""
_LONGEST_INTERVAL_SECONDS = 60.0
_INTERVAL_SHARE = 0.01
"""Share of the time since the attempt began: writing each second for hours would cost more than the rest of the run."""
_CLOSE_SECONDS = 2.0
"""A write that hangs must not use up the time in which an interrupted run reports."""


def interval_seconds(elapsed_seconds: float) -> float:
    """Return how long the next write waits: the shown progress is then at most one percent of the run time old.

    Args:
        elapsed_seconds: Since the attempt began.
    """
    return min(max(elapsed_seconds * _INTERVAL_SHARE, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)


class RecordWriter:
    """Writes the noted values from its own thread: a new phase at once, progress less often the longer the run takes.

    Each write includes the cost. A write that fails is logged, and never fails the run.

    Args:
        run_id: The run.
        execution_arn: The inner execution that started the job; once the run belongs to another, nothing is written.
        number: This attempt's number; once another attempt has begun, nothing is written.
        table: The run table.
        cost: Returns what the run has cost so far; None if no price is known.
    """

    def __init__(
        self,
        run_id: str,
        execution_arn: str | None,
        number: int,
        table: RunTable,
        cost: Callable[[], Cost | None],
    ) -> None:
        self._run_id = run_id
        self._mine = {"attempts": number}
        self._execution_arn = execution_arn
        self._table = table
        self._cost = cost
        self._pending: dict[str, object] = {}
        self._lock = threading.Lock()
        self._due_at = 0.0
        self._background = Background("record", self._write_news, self._wait_seconds, last_step=self._write)

    def note(self, **fields: object) -> None:
        """Note new values of the record's fields."""
        with self._lock:
            self._pending |= fields
        if "phase" in fields or time.monotonic() >= self._due_at:
            self._background.wake()

    def failure(self) -> Failure | None:
        """Read from the record why the run has failed; None if it has not, or the record cannot be read.

        The runner itself receives only a signal then.
        """
        try:
            record, _ = self._table.owned(self._run_id, self._execution_arn)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the run's record could not be read: %s", error)
            return None
        return record.failure if record is not None and record.state is RunState.FAILED else None

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.close(_CLOSE_SECONDS)

    def _wait_seconds(self, elapsed_seconds: float) -> float:
        seconds = interval_seconds(elapsed_seconds)
        self._due_at = time.monotonic() + seconds
        return seconds

    def _write_news(self) -> None:
        with self._lock:
            has_news = bool(self._pending)
        if has_news:
            self._write()

    def _write(self) -> None:
        with self._lock:
            fields, self._pending = self._pending, {}
        cost = self._cost()
        if cost is not None:
            fields["cost"] = cost
        if not fields:
            return
        try:
            self._table.update(
                self._run_id, unless_ended=True, of_execution=self._execution_arn, where=self._mine, **fields
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("the run's record could not be updated: %s", error)
