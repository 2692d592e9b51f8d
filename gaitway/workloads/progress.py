"""Read a simulator's progress from the lines that it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Told:
    """What one line reports."""

    counted: tuple[int, int] | None = None
    """How much is done, and how much there is in total; None for a line that only adds figures to the last count."""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    """Fields of `Progress`, by name."""


class Lines(Protocol):
    """Finds progress in the lines of one simulation."""

    def read(self, line: str) -> Told | None:
        """Look at the next line, which has no colours; None if it reports nothing."""


@dataclass(frozen=True)
class CountedLines:
    """Lines of one form, with a count and a total."""

    pattern: re.Pattern[str]
    """Groups `done` and `total`."""

    def read(self, line: str) -> Told | None:
        """Look at the next line."""
        match = self.pattern.match(line)
        return Told((int(match["done"]), int(match["total"]))) if match else None
