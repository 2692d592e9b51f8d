"""Stand-in for a video: how many frames it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class ImageSequenceClip:
    """Frames."""

    def __init__(self, frames: list[Any], fps: float) -> None:
        self.frames = frames

    def write_videofile(self, path: str, **_: Any) -> None:
        """Write how many they are."""
        Path(path).write_text(str(len(self.frames)))
