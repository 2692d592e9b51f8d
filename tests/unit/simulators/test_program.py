"""The simulator as the runner starts it: a process, a file that says what to do, and files that say what was done."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_PROGRESS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EXIT_BAD_REQUEST,
    EXIT_NOT_A_NUMBER,
    EvaluationSummary,
)
from gaitway.outputs.results import read_ran_with
from tests.unit.simulators.jobs import REPOSITORY, TASK, run_here, start, write_job

TINY: dict[str, Any] = {"task": TASK, "num_envs": 16, "max_iterations": 5, "checkpoint_interval": 2, "seed": 7}


def run_directory(directory: Path) -> Path:
    (found,) = (directory / "logs" / "rsl_rl" / "cartpole_direct").iterdir()
    return found


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    contents: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["actor_state_dict"]
    return contents


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A tiny training by the real program, with the real library."""
    directory = tmp_path_factory.mktemp("trained")
    return directory, start(directory, TINY | {"record_video": True})


@pytest.fixture(scope="module")
def checkpoint(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return run_directory(trained[0]) / "model_4.pt"


def test_a_training_says_which_versions_ran(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    ran_with = read_ran_with(trained[0])
    assert ran_with is not None
    assert (ran_with.simulator, ran_with.versions["torch"]) == ("embedded", torch.__version__)
    assert {"python", "gymnasium", "rsl-rl-lib"} < set(ran_with.versions)
    assert ran_with.device


def test_a_training_leaves_what_isaac_lab_leaves(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, ended = trained
    assert ended.returncode == 0, ended.stderr
    run = run_directory(directory)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name)
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    (events,) = {name for name in files if name.startswith("events.out.tfevents.")}
    diffs = {name for name in files if name.startswith("git/")}
    # Every second iteration, and the last one: the fifth is number 4. No temporary file is left.
    assert files - {events} - diffs == {
        "model_0.pt",
        "model_2.pt",
        "model_4.pt",
        "exported/policy.json",
        "exported/policy.onnx",
        "exported/policy.pt",
        "params/agent.yaml",
        "params/env.yaml",
        "videos/train/rl-video-step-0.mp4",
    }
    assert all(name.endswith(".diff") for name in diffs)
    assert torch.load(run / "model_4.pt", weights_only=True)["iter"] == 4
    # 80 steps of a sixtieth of a second.
    assert sum(1 for _ in iio.imiter(run / "videos" / "train" / "rl-video-step-0.mp4", plugin="pyav")) == 40


def test_a_training_records_its_parameters(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    params = run_directory(trained[0]) / "params"
    agent = yaml.safe_load((params / "agent.yaml").read_text())
    assert (agent["seed"], agent["max_iterations"], agent["save_interval"]) == (7, 5, 2)
    assert agent["policy"]["actor_hidden_dims"] == [32, 32]
    assert yaml.safe_load((params / "env.yaml").read_text())["scene"]["num_envs"] == 16


def test_a_training_tells_its_progress(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, ended = trained
    assert re.findall(r"Learning iteration (\d+)/(\d+)", ended.stdout) == [(str(n), "5") for n in range(5)]
    assert "Steps per second:" in ended.stdout
    events = EventAccumulator(str(run_directory(directory))).Reload()
    assert [event.step for event in events.Scalars("Loss/value")] == [0, 1, 2, 3, 4]
    assert "Train/mean_reward" in events.Tags()["scalars"]


def test_a_seed_decides_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    assert run_here(monkeypatch, tmp_path / "same", TINY) == 0
    assert run_here(monkeypatch, tmp_path / "other", TINY | {"seed": 8}) == 0
    first, same, other = (
        weights(path)["mlp.0.weight"]
        for path in (checkpoint, *(run_directory(tmp_path / name) / "model_4.pt" for name in ("same", "other")))
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_librarys_own_settings_hold_where_the_request_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, tmp_path, {"task": TASK, "num_envs": 4, "max_iterations": 2}) == 0
    agent = yaml.safe_load((run_directory(tmp_path) / "params" / "agent.yaml").read_text())
    assert (agent["seed"], agent["save_interval"]) == (42, 50)
    assert sorted(path.name for path in run_directory(tmp_path).glob("*.pt")) == ["model_0.pt", "model_1.pt"]


def test_a_training_can_start_from_given_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    still = {"hydra_overrides": ["agent.algorithm.learning_rate=0", "agent.algorithm.schedule=fixed"]}
    training = TINY | still | {"max_iterations": 1}
    assert run_here(monkeypatch, tmp_path, training, resume_checkpoint=str(checkpoint)) == 0
    begun, given = weights(run_directory(tmp_path) / "model_0.pt"), weights(checkpoint)
    assert all(torch.equal(begun[name], given[name]) for name in given)


def test_a_training_that_meets_nan_says_so_in_its_last_line(tmp_path: Path) -> None:
    ended = start(tmp_path, TINY | {"hydra_overrides": ["env.action_scale=.nan"]})
    assert ended.returncode == EXIT_NOT_A_NUMBER
    assert ended.stderr.splitlines()[-1] == "NaN in what the environment returned at iteration 1"


def test_a_training_can_be_followed_and_stopped_at_any_time(tmp_path: Path) -> None:
    write_job(tmp_path, TINY | {"max_iterations": 100_000, "checkpoint_interval": 1})
    with subprocess.Popen(
        [sys.executable, "-m", "gaitway.simulators.embedded", "simulation.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Learning iteration 20/" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM
    checkpoints = list(run_directory(tmp_path).glob("*.pt"))
    assert len(checkpoints) >= 20
    assert all(weights(path) for path in checkpoints)


def test_an_evaluation_leaves_metrics_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    training = {"mode": "evaluate", "task": TASK, "num_envs": 4, "num_episodes": 6}
    assert run_here(monkeypatch, tmp_path, training, policy=str(checkpoint)) == 0
    table = pd.read_csv(EVALUATION_METRICS)
    assert table["environment"].tolist() == [0, 1, 2, 3, 0, 1]
    assert EvaluationSummary.model_validate_json(EVALUATION_SUMMARY.read_text()).episodes == 6
    *_, last = EVALUATION_PROGRESS.finditer(capsys.readouterr().out)
    assert last.groupdict() == {"done": "6", "total": "6"}
    assert not EVALUATION_VIDEOS.exists()


def test_a_video_changes_no_figure_and_lasts_as_long_as_the_longest_episode_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    training = {"mode": "evaluate", "task": TASK, "num_envs": 4, "num_episodes": 6, "steps_per_episode": 60}
    assert run_here(monkeypatch, tmp_path / "without", training, policy=str(checkpoint)) == 0
    assert run_here(monkeypatch, tmp_path / "with", training | {"record_video": True}, policy=str(checkpoint)) == 0
    for file in (EVALUATION_METRICS, EVALUATION_SUMMARY):
        assert (tmp_path / "with" / file).read_text() == (tmp_path / "without" / file).read_text()
    longest = pd.read_csv(EVALUATION_METRICS)["length"][:4].max()
    (video,) = EVALUATION_VIDEOS.iterdir()
    assert sum(1 for _ in iio.imiter(video, plugin="pyav")) == round(longest / 2)


def test_an_earlier_attempts_results_are_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / EVALUATION_SUMMARY).parent.mkdir(parents=True)
    (tmp_path / EVALUATION_SUMMARY).write_text("{}")
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    run_here(monkeypatch, tmp_path, {"mode": "evaluate", "task": TASK}, policy="broken.pt")
    assert not EVALUATION_SUMMARY.exists()


@pytest.mark.parametrize(
    ("training", "paths", "words"),
    [
        ({"task": "Isaac-Cartpole-Dirct-v0"}, {}, r"'Isaac-Cartpole-Dirct-v0'.*nearest: Isaac-Cartpole-Direct-v0, "),
        ({"hydra_overrides": ["agent.sead=1"]}, {}, r"did you mean agent\.seed\?"),
        ({"mode": "evaluate"}, {}, r"checkpointPath is missing"),
        ({"mode": "evaluate"}, {"policy": "nowhere.pt"}, r"nowhere\.pt cannot be read as a checkpoint of rsl_rl"),
        ({"mode": "evaluate"}, {"policy": "text.pt"}, r"text\.pt cannot be read as a checkpoint of rsl_rl"),
        (
            {"mode": "evaluate"},
            {"policy": "other.pt"},
            r"other\.pt is not a checkpoint of rsl_rl: it holds weights, not model_state_dict or actor_state_dict",
        ),
        ({}, {"resume_checkpoint": "text.pt"}, r"text\.pt cannot be read"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    training: dict[str, Any],
    paths: dict[str, str],
    words: str,
) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    assert run_here(monkeypatch, tmp_path, TINY | training, **paths) == EXIT_BAD_REQUEST
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(words, line)


def test_a_checkpoint_of_another_network_is_refused_with_the_setting_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    shutil.copy(checkpoint, tmp_path / "model_4.pt")
    training = {"mode": "evaluate", "task": TASK, "hydra_overrides": ["agent.policy.actor_hidden_dims=[64]"]}
    assert run_here(monkeypatch, tmp_path, training, policy="model_4.pt") == EXIT_BAD_REQUEST
    assert "agent.policy.actor_hidden_dims=[64]" in capsys.readouterr().err


def test_a_checkpoint_that_holds_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"actor_state_dict": Trap()}, tmp_path / "trap.pt")
    assert run_here(monkeypatch, tmp_path, {"mode": "evaluate", "task": TASK}, policy="trap.pt") == EXIT_BAD_REQUEST
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()
