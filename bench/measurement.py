"""What a measurement hands to the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Something that was to be reached."""

    words: str
    met: bool
    likely_reason: str = ""
    """Why it was missed."""


@dataclass(frozen=True)
class Measurement:
    """One section of the page."""

    title: str
    method: str
    """What was done, in prose."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedMeasurement:
    """One that did not come to an end."""

    title: str
    cause: str
