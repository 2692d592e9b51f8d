"""The watch of a machine that nobody takes back."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from gaitway.runner.host.host import Notice
from gaitway.runner.stop import StopRequest


class NoNotices:
    """`Notices` that never come."""

    @property
    def notice(self) -> Notice | None:
        """None."""
        return None

    def wait_until_gone(self, stop: StopRequest) -> None:
        """Return at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing was begun."""
