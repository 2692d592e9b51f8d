"""A simulator's log on a file system that may refuse writes."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gaitway.runner.host.storage import is_refusal

logger = logging.getLogger(__name__)


class OutputLog:
    """A log file: lines that a full disk refuses are left out, and their number is written where the log continues.

    Args:
        path: The file to which lines are appended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._lost = 0

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            OSError: It cannot be opened, although the file system is in order: a simulator has put something
                else in its place.
        """
        self._attempt("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)

    def write(self, line: str) -> None:
        """Append a line, if the file system accepts it."""
        missing = f"[{self._lost} lines are missing here: they could not be written]\n" if self._lost else ""
        if self._attempt(missing + line):
            self._lost = 0
        else:
            self._lost += 1

    def _attempt(self, text: str) -> bool:
        try:
            # Without a buffer: its content would be refused again at the next write, and on closing.
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
                self._descriptor = os.open(self._path, flags, 0o644)
            left = text.encode(errors="replace")
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            if not is_refusal(error):
                raise
            if not self._lost:
                logger.warning("%s cannot be written, and lacks what follows: %s", self._path.name, error)
            return False
        return True
