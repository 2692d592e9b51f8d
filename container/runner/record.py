"""Keep the run's record up to date for whoever watches."""

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

logger = logging.getLogger(__name__)

_SHORTEST_INTERVAL_SECONDS = 1.0
"""A small simulation makes dozens of iterations per second, and nobody reads faster than this."""
_LONGEST_INTERVAL_SECONDS = 60.0
_INTERVAL_SHARE = 0.01
"""Of the time since the attempt began: every second for hours, writes would cost more than all else of the run."""
_CLOSE_SECONDS = 2.0
"""A write that hangs must not use up the time in which an interrupted run reports."""


def interval_seconds(elapsed_seconds: float) -> float:
    """Say how long the next write waits: whoever watches sees progress that is one percent of the time old.

    Args:
        elapsed_seconds: Since the attempt began.
    """
    return min(max(elapsed_seconds * _INTERVAL_SHARE, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)


class RecordWriter:
    """Writes what is noted, from a thread of its own: a new phase at once, progress the more rarely the longer it goes.

    Each write tells the cost, too. A write that fails is logged, and never fails the run.

    Args:
        run_id: The run.
        execution_arn: The inner execution that started the job; once the run has gone to another, nothing is written.
        table: The run table.
        cost: Tells what the run has cost so far; None where no price is known.
    """

    def __init__(
        self, run_id: str, execution_arn: str | None, table: RunTable, cost: Callable[[], Cost | None]
    ) -> None:
        self._run_id = run_id
        self._execution_arn = execution_arn
        self._table = table
        self._cost = cost
        self._pending: dict[str, object] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._hurry = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_until_closed, name="record", daemon=True)

    def note(self, **fields: object) -> None:
        """Note new values of the record's fields."""
        with self._lock:
            self._pending |= fields
        self._changed.set()
        if "phase" in fields:
            self._hurry.set()

    def failure(self) -> Failure | None:
        """Read why the run has failed, as whoever ended it has written down; None where nobody has, or no one can tell.

        To a runner, such an end is no more than a signal.
        """
        try:
            record, _ = self._table.owned(self._run_id, self._execution_arn)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the run's record could not be read: %s", error)
            return None
        return record.failure if record is not None and record.state is RunState.FAILED else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._changed.set()
        self._hurry.set()
        self._thread.join(_CLOSE_SECONDS)

    def _write_until_closed(self) -> None:
        began = time.monotonic()
        while not self._closed.is_set():
            self._changed.wait()
            self._hurry.clear()
            self._changed.clear()
            self._write()
            if not self._closed.is_set():
                self._hurry.wait(interval_seconds(time.monotonic() - began))
        self._write()

    def _write(self) -> None:
        with self._lock:
            fields, self._pending = self._pending, {}
        cost = self._cost()
        if cost is not None and (fields or self._closed.is_set()):
            fields["cost"] = cost
        if not fields:
            return
        try:
            self._table.update(self._run_id, unless_ended=True, of_execution=self._execution_arn, where=None, **fields)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the run's record could not be updated: %s", error)
