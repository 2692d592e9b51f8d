"""Videos and exports that fail are warnings, and what was trained or measured is kept."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RecordVideo
from numpy.typing import NDArray
from torch import Tensor, nn

from gaitway.contracts.simulation import SIMULATION_WARNING, PolicyExport
from gaitway.simulators.common import export
from gaitway.simulators.common.export import Origin, export_policy
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.video import write_video
from gaitway.simulators.embedded.video import Recorder, TrainingVideos, View
from gaitway.simulators.isaaclab2.videos import forgive_videos
from tests.unit.simulators.scripted import ScriptedEnvironment


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [match["text"] for match in SIMULATION_WARNING.finditer(capsys.readouterr().out)]


class BrokenPainter(ScriptedEnvironment):
    def painter(self, num_views: int, title: str, subtitle: str) -> object:  # type: ignore[override]
        raise ValueError("no font")


class OddPainter(ScriptedEnvironment):
    """Paints what no codec takes: an odd number of columns."""

    def painter(self, num_views: int, title: str, subtitle: str) -> object:  # type: ignore[override]
        return lambda views, seconds: np.zeros((3, 5, 3), dtype=np.uint8)


class LostStates(ScriptedEnvironment):
    def drawable_states(self, num_views: int) -> Tensor:
        raise RuntimeError("the states are on another device")


class Dark(ScriptedEnvironment):
    def painter(self, num_views: int, title: str, subtitle: str) -> object:  # type: ignore[override]
        def paint(views: list[View], seconds: float) -> NDArray[np.uint8]:
            return np.full((64, 64, 3), 3, dtype=np.uint8)

        return paint


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(BrokenPainter, "ValueError: no font"), (OddPainter, ""), (LostStates, "RuntimeError: the states are")],
)
def test_a_video_that_fails_ends_no_training(
    tmp_path: Path, kind: type[ScriptedEnvironment], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = kind([100])
    videos = TrainingVideos(environment, "", tmp_path)

    for _ in range(3):
        videos.on_step(environment.step(torch.zeros(1, 1)))
    videos.close()

    (warning,) = warnings(capsys)
    assert warning.startswith("there is no video rl-video-step-0.mp4 of the training: ")
    assert reason in warning
    # A file left open would be a warning.
    gc.collect()
    assert not list(tmp_path.glob("*.mp4"))


def test_a_black_video_is_kept_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in (Dark, ScriptedEnvironment):
        environment = kind([100])
        recorder = Recorder(environment)
        recorder.record(environment.step(torch.zeros(1, 1)))
        recorder.write(tmp_path / f"{kind.__name__}.mp4", "", "")

    black, _ = warnings(capsys)
    assert black == "the video Dark.mp4 is black from its first to its last frame: look at what draws it"
    assert (tmp_path / "Dark.mp4").is_file()


def test_a_video_in_which_nothing_moves_is_kept_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sky, robot = np.full((64, 64, 3), 150, dtype=np.uint8), np.full((64, 64, 3), 150, dtype=np.uint8)
    robot[30:34, 30:34] = 20
    write_video(tmp_path / "sky.mp4", [sky, sky, sky], 30)
    write_video(tmp_path / "robot.mp4", [sky, sky, robot], 30)
    write_video(tmp_path / "picture.mp4", [sky], 30)

    found = "nothing moves in the video sky.mp4: the camera may look past the robot, or it was not drawn"
    assert warnings(capsys) == [found]
    assert len(list(tmp_path.glob("*.mp4"))) == 3


class Camera(gymnasium.Env[NDArray[np.float32], Any]):
    """An environment for Gymnasium's own recorder."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - as Gymnasium has it
    render_mode = "rgb_array"
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, shade: int | None) -> None:
        self.shade = shade

    def reset(
        self, *, seed: int | None = None, options: object = None
    ) -> tuple[NDArray[np.float32], dict[str, object]]:
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: object) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, object]]:
        return np.zeros(1, dtype=np.float32), 0.0, False, False, {}

    def render(self) -> NDArray[np.uint8]:
        if self.shade is None:
            raise RuntimeError("the renderer has lost its device")
        return np.full((16, 16, 3), self.shade, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shade", "encodes", "warned"),
    [
        (None, True, "there is no video rl-video-step-1: RuntimeError: the renderer has lost its device"),
        (200, False, "there is no video rl-video-step-1: OSError: no encoder"),
        (
            0,
            True,
            "the video rl-video-step-1 is black from its first to its last frame: look at the scene's lights and",
        ),
        (200, True, None),
    ],
)
def test_gymnasiums_recorder_ends_no_training(
    tmp_path: Path,
    shade: int | None,
    encodes: bool,
    warned: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A stand-in for moviepy, which only Isaac Lab's image has.
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "isaaclab2" / "kit"))
    for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    if not encodes:

        def fail(*_: object, **__: object) -> None:
            raise OSError("no encoder")

        clip = importlib.import_module("moviepy.video.io.ImageSequenceClip").ImageSequenceClip
        monkeypatch.setattr(clip, "write_videofile", fail)
    for name in ("_capture_frame", "stop_recording"):
        # What is patched here is as it was after the test.
        monkeypatch.setattr(RecordVideo, name, getattr(RecordVideo, name))
    forgive_videos()
    env = RecordVideo(Camera(shade), str(tmp_path / "videos"), step_trigger=lambda step: step == 1, video_length=2)

    env.reset()
    for _ in range(6):
        env.step(0)

    found = warnings(capsys)
    assert len(found) == (warned is not None)
    assert all(text.startswith(warned or "") for text in found)
    assert len(list(tmp_path.rglob("*.mp4"))) == (encodes and shade is not None)


class Wrong(nn.Module):
    """Acts otherwise once it is traced: by values that a trace takes as constants."""

    def forward(self, observations: Tensor) -> Tensor:
        return observations[:, :1] * float(len(observations) > 2)


DEPRECATED = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")


@DEPRECATED
def test_an_export_that_differs_is_named_and_left_out(tmp_path: Path) -> None:
    policy = TrainedPolicy(Wrong(), Wrong(), "none")

    with pytest.raises(
        RuntimeError, match=r"policy.pt \(RuntimeError: it acts differently .*; policy.onnx \("
    ) as error:
        export_policy(policy, 4, torch.device("cpu"), tmp_path, Origin("T", "rsl_rl", Path("model_4.pt"), 5))

    assert "from model_4.pt, by up to" in str(error.value)
    assert not [path for path in (tmp_path / "exported").iterdir() if not path.name.startswith(".")]


@DEPRECATED
@pytest.mark.parametrize(("broken", "kept"), [("_write_onnx", "policy.pt"), ("_load_torchscript", "policy.onnx")])
def test_of_two_exports_the_right_one_is_kept(
    tmp_path: Path, broken: str, kept: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("an operator is unknown")

    monkeypatch.setattr(export, broken, fail)
    network = nn.Linear(4, 1)

    export_policy(
        TrainedPolicy(network, network, "none"), 4, torch.device("cpu"), tmp_path,
        Origin("T", "rsl_rl", Path("model_4.pt"), 5),
    )  # fmt: skip

    summary = PolicyExport.model_validate_json((tmp_path / "exported" / "policy.json").read_text())
    assert set(summary.max_abs_difference) == {kept}
    assert (tmp_path / "exported" / kept).is_file()
    (warning,) = warnings(capsys)
    assert warning.startswith("exported/ lacks policy.")
    assert "(ValueError: an operator is unknown)" in warning


@DEPRECATED
def test_an_export_is_compared_in_full_precision(tmp_path: Path) -> None:
    """Isaac Lab lets GPUs multiply in TF32. An error of one per cent stands for it here, as an H100 showed."""
    matmul = torch.backends.cuda.matmul
    network = nn.Linear(4, 1)
    policy = TrainedPolicy(lambda seen: network(seen) * (1.01 if matmul.allow_tf32 else 1.0), network, "none")
    before, matmul.allow_tf32 = matmul.allow_tf32, True
    try:
        export_policy(policy, 4, torch.device("cpu"), tmp_path, Origin("T", "rsl_rl", Path("model_4.pt"), 5))
        assert matmul.allow_tf32, "training goes on as it was"
    finally:
        matmul.allow_tf32 = before

    assert {path.name for path in (tmp_path / "exported").iterdir()} >= {"policy.pt", "policy.onnx", "policy.json"}
