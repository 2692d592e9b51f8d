"""What a run's time went into, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gaitway.contracts.history import AttemptHistory, RunHistory
from gaitway.report.charts import PLANE

PHASES = ("queued", "image", "start-up", "work", "upload")
"""Their classes in the style sheet, in the order in which they happen."""
_LEAST_WIDTH = PLANE // 250
"""What is shorter is drawn so wide nevertheless."""


def phase_names(work: str) -> dict[str, str]:
    """Name the phases of a run, by class.

    Args:
        work: What the run's workload is called.
    """
    names = ("queued", "image pull", "start-up", work, "checks and upload")
    return dict(zip(PHASES, names, strict=True))


@dataclass(frozen=True)
class Span:
    """A phase of an attempt."""

    phase: str
    """One of `PHASES`."""
    seconds: float
    x: int
    """Where its bar begins in the plane, from the run's beginning to its end."""
    width: int


@dataclass(frozen=True)
class AttemptRow:
    """An attempt's phases, those that are known."""

    attempt: AttemptHistory
    spans: list[Span]

    def seconds_of(self, phase: str) -> float | None:
        """Return how long a phase took; None if that is not known."""
        return next((span.seconds for span in self.spans if span.phase == phase), None)


@dataclass(frozen=True)
class Timeline:
    """A run's attempts on one scale."""

    rows: list[AttemptRow]
    seconds: float
    """From the run's acceptance to its end."""

    def totals(self) -> dict[str, float]:
        """Add the phases up over all attempts; those that took no time are left out."""
        sums = dict.fromkeys(PHASES, 0.0)
        for row in self.rows:
            for span in row.spans:
                sums[span.phase] += span.seconds
        return {phase: seconds for phase, seconds in sums.items() if seconds}


def timeline_of(history: RunHistory, ended_at: datetime) -> Timeline | None:
    """Lay a run's attempts out in time; None where there are none.

    Args:
        history: What the attempts wrote down.
        ended_at: When the run ended.
    """
    if not history.attempts:
        return None
    began = min(history.accepted_at, *(_beginning(attempt) for attempt in history.attempts))
    end = max(ended_at, *(attempt.last_seen_at for attempt in history.attempts))
    seconds = max(1e-3, (end - began).total_seconds())

    def along(moment: datetime) -> int:
        return round(PLANE * (moment - began).total_seconds() / seconds)

    rows = []
    for attempt in history.attempts:
        spans = []
        for phase, start, stop in _phases(attempt):
            x = min(along(start), PLANE - _LEAST_WIDTH)
            width = max(_LEAST_WIDTH, along(stop) - x)
            spans.append(Span(phase, (stop - start).total_seconds(), x, width))
        rows.append(AttemptRow(attempt, spans))
    return Timeline(rows, seconds)


def _beginning(attempt: AttemptHistory) -> datetime:
    return attempt.queued_at or attempt.image_pull_began_at or attempt.began_at


def _phases(attempt: AttemptHistory) -> Iterator[tuple[str, datetime, datetime]]:
    """Give the phases that took some time, with beginning and end."""
    last = attempt.last_seen_at
    pulled = attempt.image_pull_ended_at if attempt.image_pull_began_at else None
    borders: Sequence[tuple[str, datetime | None, datetime | None]] = (
        ("queued", attempt.queued_at, attempt.image_pull_began_at or attempt.began_at),
        ("image", attempt.image_pull_began_at, pulled),
        ("start-up", pulled or attempt.began_at, attempt.first_progress_at or attempt.simulator_ended_at or last),
        ("work", attempt.first_progress_at, attempt.simulator_ended_at or last),
        ("upload", attempt.simulator_ended_at, attempt.uploaded_at or last),
    )
    for phase, start, stop in borders:
        if start is not None and stop is not None and start < stop:
            yield phase, start, stop
