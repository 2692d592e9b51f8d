"""Keep the run's record up to date for whoever watches."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.aws.run_table import RunTable

logger = logging.getLogger(__name__)

_SHORTEST_INTERVAL_SECONDS = 1.0
"""A small simulation makes dozens of iterations per second, and nobody reads faster than this."""
_CLOSE_SECONDS = 2.0
"""A write that hangs must not use up the time in which an interrupted run reports."""


class RecordWriter:
    """Writes what is noted, from a thread of its own, the latest value of each field at most once a second.

    A write that fails is logged, and never fails the run.

    Args:
        run_id: The run.
        execution_arn: The inner execution that started the job; once the run has gone to another, nothing is written.
        table: The run table.
    """

    def __init__(self, run_id: str, execution_arn: str | None, table: RunTable) -> None:
        self._run_id = run_id
        self._execution_arn = execution_arn
        self._table = table
        self._pending: dict[str, object] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_until_closed, name="record", daemon=True)

    def note(self, **fields: object) -> None:
        """Note new values of the record's fields."""
        with self._lock:
            self._pending |= fields
        self._changed.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._changed.set()
        self._thread.join(_CLOSE_SECONDS)

    def _write_until_closed(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            self._write()
            if self._closed.wait(_SHORTEST_INTERVAL_SECONDS):
                self._write()
                return

    def _write(self) -> None:
        with self._lock:
            fields, self._pending = self._pending, {}
        if not fields:
            return
        try:
            self._table.update(self._run_id, unless_ended=True, of_execution=self._execution_arn, **fields)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the run's record could not be updated: %s", error)
