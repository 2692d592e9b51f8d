"""The context of every measurement."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.progress import Progress

from bench.pipeline import Pipeline
from bench.size import Size

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """Where to measure, and how much."""

    size: Size
    pipeline: Pipeline
    scratch: Path
    """A directory that is deleted afterwards."""
    progress: Progress
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_directory(self, name: str) -> Path:
        """Name a directory that is not used yet."""
        return self.scratch / f"{name}-{next(self._numbers)}"

    def track(self, steps: list[T], words: str) -> Iterable[T]:
        """Iterate over steps, and show how many are done."""
        return self.progress.track(steps, description=words)
