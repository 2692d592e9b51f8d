"""The results of a measurement, for the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A goal of a measurement."""

    words: str
    met: bool
    likely_reason: str = ""
    """Why it was missed."""


@dataclass(frozen=True)
class Measurement:
    """One section of the page."""

    title: str
    method: str
    """What was done, as text."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedMeasurement:
    """A measurement that failed."""

    title: str
    cause: str
