"""What ends a training, in every simulator."""

from __future__ import annotations


class NotANumberError(Exception):
    """The training diverged: nothing that follows is worth keeping."""

    def __init__(self, what: str, iteration: int, kind: str = "NaN") -> None:
        super().__init__(f"{kind} in {what} at iteration {iteration}")
