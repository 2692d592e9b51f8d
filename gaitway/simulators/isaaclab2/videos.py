"""Gymnasium's recording of videos, so that an error in it ends a video and not the training."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np
from gymnasium.wrappers import RecordVideo

from gaitway.simulators.common.optional import BLACK, optional, warn


def forgive_videos() -> None:
    """Turn what goes wrong while a video is rendered or encoded into a warning, also in Isaac Lab's scripts."""
    recorder: Any = RecordVideo
    if getattr(recorder.stop_recording, "__wrapped__", None) is not None:
        return
    capture, stop = recorder._capture_frame, recorder.stop_recording

    @wraps(capture)
    def capture_frame(self: Any) -> None:  # noqa: ANN401
        with optional(f"there is no video {self._video_name}"):
            capture(self)
            return
        _forget(self)

    @wraps(stop)
    def stop_recording(self: Any) -> None:  # noqa: ANN401
        name, is_black = self._video_name, _is_black(self.recorded_frames)
        with optional(f"there is no video {name}"):
            stop(self)
            if is_black:
                warn(
                    f"the video {name} is black from its first to its last frame: look at the scene's lights and camera"
                )
        _forget(self)

    recorder._capture_frame, recorder.stop_recording = capture_frame, stop_recording


def _forget(recorder: Any) -> None:  # noqa: ANN401
    recorder.recorded_frames = []
    recorder.recording = False
    recorder._video_name = None


def _is_black(frames: list[Any]) -> bool:
    return bool(frames) and all(np.max(frame) <= BLACK for frame in frames)
