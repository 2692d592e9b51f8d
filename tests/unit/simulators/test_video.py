"""Videos show what was recorded, at the speed at which it was simulated."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from gaitway.simulators.embedded.cartpole.picture import CART, POLE, SIZE, CartpolePainter
from gaitway.simulators.embedded.video import Ending, Recorder, TrainingVideos, View, frame_count
from tests.unit.simulators.scripted import ScriptedEnvironment

NEVER = 100


def record(environment: ScriptedEnvironment, steps: int) -> Recorder:
    recorder = Recorder(environment)
    for _ in range(steps):
        recorder.record(environment.step(torch.zeros(environment.num_envs, 1)))
    return recorder


def shades(path: Path) -> list[int]:
    """Read back which steps a video shows: the scripted painter draws step n in shade 40 n."""
    return [round(float(frame.mean()) / 40) for frame in iio.imiter(path, plugin="pyav")]


def test_a_video_lasts_as_long_as_what_it_shows(tmp_path: Path) -> None:
    record(ScriptedEnvironment([NEVER]), 6).write(tmp_path / "new" / "video.mp4", "", "", [Ending(6, True, "success")])
    # A step takes 0.1 s, which is three frames.
    assert shades(tmp_path / "new" / "video.mp4") == [step for step in range(1, 7) for _ in range(3)]
    metadata = iio.immeta(tmp_path / "new" / "video.mp4", plugin="pyav")
    assert (metadata["codec"], metadata["fps"]) == ("h264", 30)
    assert metadata["video_format"].startswith("yuv420p")


def test_a_view_stays_where_its_episode_ended_until_the_last_one_has(tmp_path: Path) -> None:
    recorder = record(ScriptedEnvironment([2, 5]), 6)
    recorder.write(tmp_path / "video.mp4", "", "", [Ending(2, False, "fell"), Ending(5, False, "fell")])
    frames = shades(tmp_path / "video.mp4")
    assert len(frames) == frame_count(5, 0.1) == 15
    assert max(frames) == 2
    assert frames[-1] == 2


def test_without_endings_the_episodes_follow_each_other(tmp_path: Path) -> None:
    record(ScriptedEnvironment([2]), 4).write(tmp_path / "video.mp4", "", "")
    assert shades(tmp_path / "video.mp4")[-6:] == [1, 1, 1, 2, 2, 2]


def test_returns_begin_anew_with_each_episode() -> None:
    recorder = record(ScriptedEnvironment([2, NEVER]), 4)
    assert torch.stack(recorder._returns).tolist() == [[0, 0], [1, 1], [2, 2], [1, 3], [2, 4]]


def test_training_is_recorded_every_so_often_and_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingVideos, "INTERVAL_STEPS", 10)
    monkeypatch.setattr(TrainingVideos, "LENGTH_STEPS", 4)
    environment = ScriptedEnvironment([NEVER])
    videos = TrainingVideos(environment, "", tmp_path)
    for _ in range(22):
        videos.on_step(environment.step(torch.zeros(1, 1)))
    videos.close()
    lengths = {path.name: len(shades(path)) for path in tmp_path.iterdir()}
    assert lengths == {"rl-video-step-0.mp4": 12, "rl-video-step-10.mp4": 12, "rl-video-step-20.mp4": 6}


@pytest.mark.parametrize("num_views", [1, 2, 3, 4])
def test_a_picture_shows_every_cart_and_pole(num_views: int) -> None:
    painter = CartpolePainter(num_views, "Task", "model_1.pt")
    views = [View(np.array([0.4 * index, 0.2], dtype=np.float32), 1.5, None) for index in range(num_views)]
    picture = painter(views, 0.5)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert picture.dtype == np.uint8
    for panel in painter._panels:
        left, top, right, bottom = panel._box
        inside = picture[top:bottom, left:right].reshape(-1, 3)
        for colour in (CART, POLE):
            assert (inside == colour).all(axis=1).sum() > 100


@pytest.mark.parametrize("angle", [0.5, -0.5])
def test_a_positive_angle_leans_to_negative_positions(angle: float) -> None:
    picture = CartpolePainter(1, "", "")([View(np.array([0, angle], dtype=np.float32), 0, None)], 0)
    columns = np.nonzero((picture == POLE).all(axis=2))[1]
    assert (columns.mean() < SIZE[0] / 2) == (angle > 0)
