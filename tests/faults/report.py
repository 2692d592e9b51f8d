"""The campaign's table: each fault with its stage, its result, and how soon the caller received that."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.campaign import Outcome

_BEGIN = "<!-- campaign: written by make faults -->"
_END = "<!-- end of campaign -->"
_COLUMNS = ("fault", "stage", "right", "outcome", "median s", "longest s")


@dataclass(frozen=True)
class Line:
    """A fault at a stage."""

    fault: str
    stage: str
    right: int
    total: int
    outcome: str
    median_seconds: float | None
    longest_seconds: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        """As text."""
        seconds = ("" if value is None else f"{value:.0f}" for value in (self.median_seconds, self.longest_seconds))
        return (self.fault, self.stage, f"{self.right}/{self.total}", self.outcome, *seconds)


def lines(outcomes: Sequence[Outcome]) -> list[Line]:
    """Group outcomes by fault and stage, in the order of the scenarios."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.scenario.fault, outcome.scenario.stage].append(outcome)
    return [_line(fault, stage, group) for (fault, stage), group in groups.items()]


def _line(fault: str, stage: str, group: Sequence[Outcome]) -> Line:
    told = [outcome.told_seconds for outcome in group if outcome.told_seconds is not None]
    return Line(
        fault=fault,
        stage=stage,
        right=sum(not outcome.violations for outcome in group),
        total=len(group),
        outcome=", ".join(sorted({outcome.came_out for outcome in group if outcome.came_out})),
        median_seconds=statistics.median(told) if told else None,
        longest_seconds=max(told, default=None),
    )


def print_table(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Show the table on a terminal."""
    table = Table(*_COLUMNS)
    for line in lines(outcomes):
        table.add_row(*line.cells, style=None if line.right == line.total else "red")
    console.print(table)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Write the table in Markdown."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *(line.cells for line in lines(outcomes))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(page: Path, text: str) -> None:
    """Put a text between the page's markers."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", encoding="utf-8")
