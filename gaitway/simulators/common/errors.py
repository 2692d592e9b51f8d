"""Errors that end a training, in every simulator."""

from __future__ import annotations


class NotANumberError(Exception):
    """The training diverged: later states are of no use."""

    def __init__(self, what: str, iteration: int, kind: str = "NaN") -> None:
        super().__init__(f"{kind} in {what} at iteration {iteration}")


class TrainingStoppedError(Exception):
    """The runner has requested the training to end; its latest state is saved."""

    def __init__(self, iteration: int, checkpoint: str) -> None:
        super().__init__(f"Stopped as asked after iteration {iteration}, which is saved as {checkpoint}")
