"""Write a video that browsers play."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.optional import BLACK, warn


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_second: int) -> None:
    """Write pictures as H.264 in the pixel format that browsers play.

    Args:
        path: The .mp4 file.
        frames: Pictures of shape (height, width, 3), both even; at least one.
        frames_per_second: How fast they are shown.
    """
    # Only a run with a video waits for the codecs.
    import av

    drawn = iter(frames)
    first = next(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, av.open(temporary, "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=frames_per_second)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        is_black = is_still = True
        pictures = 0
        for frame in chain([first], drawn):
            pictures += 1
            is_black = is_black and bool(frame.max() <= BLACK)
            is_still = is_still and bool(np.abs(frame.astype(np.int16) - first).max() <= BLACK)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        video.mux(stream.encode(None))
    if is_black:
        warn(f"the video {path.name} is black from its first to its last frame: look at what draws it")
    elif is_still and pictures > 1:
        warn(f"nothing moves in the video {path.name}: the camera may look past the robot, or it was not drawn")
