"""What an evaluation measured, from its metrics.csv."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitway.contracts.artifacts import METRICS
from gaitway.report.intervals import mean_interval, success_interval
from gaitway.report.series import read_columns


@dataclass(frozen=True)
class Episodes:
    """The episodes that were counted: as many returns as lengths and successes."""

    returns: Sequence[float]
    lengths: Sequence[float]
    """Environment steps."""
    successes: Sequence[bool]
    terminations: tuple[tuple[str, int], ...]
    """Why episodes ended, and how many did so; the most frequent first."""

    @property
    def success_rate(self) -> float:
        """Share of the episodes that succeeded."""
        return sum(self.successes) / len(self.successes)

    @property
    def success_interval(self) -> tuple[float, float]:
        """Its 95 % confidence interval."""
        return success_interval(sum(self.successes), len(self.successes))

    @property
    def return_interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean return; None for a single episode."""
        return mean_interval(self.returns)

    @property
    def length_interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean length; None for a single episode."""
        return mean_interval(self.lengths)


def read_episodes(files: Mapping[str, Path]) -> Episodes | None:
    """Read an evaluation's episodes; None where there are none."""
    columns = read_columns(files.get(METRICS))
    named = [columns.get(name) for name in ("return", "length", "success")]
    if any(column is None for column in named):
        return None
    rows = [row for row in zip(*filter(None, named), strict=True) if all(map(math.isfinite, row))]
    if not rows:
        return None
    returns, lengths, successes = zip(*rows, strict=True)
    return Episodes(returns, lengths, [value > 0 for value in successes], _terminations(files[METRICS]))


def _terminations(path: Path) -> tuple[tuple[str, int], ...]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            found = Counter(row["termination"] for row in csv.DictReader(file) if row.get("termination"))
    except (OSError, csv.Error):
        return ()
    return tuple(found.most_common(8))
