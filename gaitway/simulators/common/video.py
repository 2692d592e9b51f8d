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
    import imageio.v3 as iio

    # Drawn before the file is open: imageio leaves it open where an error comes in between.
    drawn = iter(frames)
    first = next(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, iio.imopen(temporary, "w", plugin="pyav", container="mp4") as video:
        video.init_video_stream("libx264", fps=frames_per_second, pixel_format="yuv420p")
        is_black = True
        for frame in chain([first], drawn):
            is_black = is_black and bool(frame.max() <= BLACK)
            video.write_frame(frame)
    if is_black:
        warn(f"the video {path.name} is black from its first to its last frame: look at what draws it")
