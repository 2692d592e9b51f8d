"""Videos by Newton's own viewer: each is whole or not there, and the camera follows a robot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from isaaclab.envs.utils import video_recorder
from numpy.typing import NDArray

from gaitway.simulators.common.optional import optional
from gaitway.simulators.common.video import write_video
from gaitway.simulators.isaaclab3.drawing import draw_something

_RECORDER = "VideoRecorder"
_VIEWER = "newton_gl"
"""The one that draws pictures; a live view is a viewer, too."""
_WIDTH, _HEIGHT = 1280, 720
_CLOSER = 0.5
"""Tasks place their camera so that it sees many environments."""
_STRIDE = 2
"""Steps for a frame: most tasks take 50 or 60 a second, and without a GPU a frame takes as long as the step."""


class FollowingRecorder(video_recorder.VideoRecorder):  # type: ignore[misc]
    """Isaac Lab's recorder: its camera stands still, so that a robot that walks leaves the picture."""

    _height: float | None = None
    _offset: tuple[float, ...] | None = None

    def _get_frame(self) -> Any:  # noqa: ANN401
        self._follow()
        return super()._get_frame()

    def _follow(self) -> None:
        """Look at the first environment's robot, from where the task's camera would look at the origin, but closer."""
        position = _position(self._env)
        viewers = [viewer for viewer in self._env.sim.visualizers if viewer.cfg.visualizer_type == _VIEWER]
        if position is None or not viewers:
            return
        viewer = viewers[0]
        if self._height is None or self._offset is None:
            self._height = position[2]
            places = zip(viewer.cfg.eye, viewer.cfg.lookat, strict=True)
            self._offset = tuple(_CLOSER * (eye - at) for eye, at in places)
            draw_something(viewer)
        # Not up and down: a robot that jumps should be seen to jump.
        target = (position[0], position[1], self._height)
        viewer.set_camera_view(tuple(at + by for at, by in zip(target, self._offset, strict=True)), target)


class _Clip:
    """What Isaac Lab's recorder uses of moviepy, which is not installed: it brings an ffmpeg of its own."""

    def __init__(self, frames: list[NDArray[np.uint8]], fps: int) -> None:
        self._frames, self._fps = frames, fps

    def write_videofile(self, path: str, **_: Any) -> None:  # noqa: ANN401
        with optional(f"there is no video {Path(path).name}"):
            write_video(Path(path), self._frames, self._fps)


def _position(environment: Any) -> tuple[float, ...] | None:  # noqa: ANN401
    """Return where the first environment's robot is; None if there is none."""
    robots = list(getattr(environment.scene, "articulations", {}).values())
    if not robots:
        return None
    positions = robots[0].data.root_pos_w
    positions = getattr(positions, "torch", positions)
    return tuple(float(value) for value in positions[0])


def record_with_ours() -> None:
    """Make Isaac Lab's environments use our recorder."""
    from isaaclab.envs import direct_marl_env, direct_rl_env, manager_based_env

    video_recorder.ImageSequenceClip = _Clip
    for module in (direct_marl_env, direct_rl_env, manager_based_env):
        setattr(module, _RECORDER, FollowingRecorder)


def film(config: Any, directory: Path, name: str, steps: int) -> None:  # noqa: ANN401
    """Let an environment film its first episode.

    Args:
        config: Its configuration.
        directory: Of the video.
        name: The beginning of the video's name.
        steps: Longest episode, in environment steps.
    """
    from isaaclab.envs.utils.video_recorder_cfg import VideoRecorderCfg
    from isaaclab_visualizers.newton import NewtonGLVisualizerCfg

    view = getattr(config.sim, "default_visualizer_cfg", None)
    place = {} if view is None else {"eye": view.eye, "lookat": view.lookat}
    config.sim.visualizer_cfgs = [
        NewtonGLVisualizerCfg(headless=True, window_width=_WIDTH, window_height=_HEIGHT, **place)
    ]
    config.video_recorders = [
        VideoRecorderCfg(
            source=f"visualizer:{_VIEWER}",
            output_dir=str(directory),
            output_filename_prefix=name,
            video_length=min(steps, round(config.episode_length_s / (config.sim.dt * config.decimation))),
            frame_stride=_STRIDE,
        )
    ]
