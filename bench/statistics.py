"""Fair orders, and figures that one disturbed repetition does not spoil."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Repetitions of one figure."""

    median: float
    smallest: float
    largest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Describe at least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def written(self, pattern: str) -> str:
        """Write it as "median (smallest to largest)".

        Args:
            pattern: Format specification of each number.
        """
        return f"{self.median:{pattern}} ({self.smallest:{pattern}} to {self.largest:{pattern}})"


def interleaved(candidates: Sequence[T], rounds: int) -> list[T]:
    """Order repetitions so that a drift over time (heat, other work) affects all alike: A B B A A B ...

    Args:
        candidates: What is compared.
        rounds: How often each is measured.
    """
    return [
        candidate
        for number in range(rounds)
        for candidate in (candidates if number % 2 == 0 else tuple(reversed(candidates)))
    ]


def paired_ratios(figures: Sequence[float], references: Sequence[float]) -> list[float]:
    """Divide pair by pair: the two figures of a pair were measured one right after the other."""
    return [figure / reference for figure, reference in zip(figures, references, strict=True)]
