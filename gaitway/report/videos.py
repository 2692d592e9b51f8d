"""A run's videos, inside the page as far as that stays handy."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from gaitway.contracts.artifacts import VIDEOS
from gaitway.report.reported_run import ReportedRun

MOST_BYTES = 20_000_000
"""For all videos of a page together."""


@dataclass(frozen=True)
class Video:
    """A video."""

    file: str
    """Below the run's prefix."""
    data: str | None
    """Its content in base64; None where the page only links to it."""


def videos(run: ReportedRun, most_bytes: int = MOST_BYTES) -> Iterator[Video]:
    """Read the videos, in the order of their names, until their total size exceeds the limit."""
    left = most_bytes
    for name, path in sorted(run.files.items()):
        if not name.startswith(VIDEOS):
            continue
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= left else None
        except OSError:
            continue
        left -= size if content is not None else 0
        yield Video(name, base64.b64encode(content).decode() if content is not None else None)
