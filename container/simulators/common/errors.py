"""What ends a training, in every simulator."""

from __future__ import annotations


class NotANumberError(Exception):
    """The training diverged: nothing that follows is worth keeping."""

    def __init__(self, what: str, iteration: int, kind: str = "NaN") -> None:
        super().__init__(f"{kind} in {what} at iteration {iteration}")


class TrainingStoppedError(Exception):
    """The runner has asked for the end of the training; what it came to is saved."""

    def __init__(self, iteration: int, checkpoint: str) -> None:
        super().__init__(f"Stopped as asked after iteration {iteration}, which is saved as {checkpoint}")
