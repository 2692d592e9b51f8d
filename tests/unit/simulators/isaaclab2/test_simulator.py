"""Isaac Lab's scripts, wrappers, Hydra and libraries under the simulator that the runner starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_PROGRESS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EXIT_BAD_REQUEST,
    EXIT_NOT_A_NUMBER,
    EXIT_STOPPED,
    NOT_A_NUMBER,
    RESUMPTION_FILE,
    STOP_FILE,
    TRAINING_PROGRESS,
    EvaluationSummary,
    PolicyExport,
    Resumption,
)
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.checkpoints import is_whole
from gaitway.libraries.simulators import SIMULATORS
from gaitway.outputs.results import read_ran_with
from gaitway.simulators.common.export import MAX_ABS_DIFFERENCE
from gaitway.workloads.checkpoints import newest, place_checkpoint
from gaitway.workloads.metrics import read_metrics, summarise
from tests.checkpoints import FILES
from tests.unit.simulators.isaaclab2.world import environment, job, start
from tests.unit.simulators.jobs import Left

SAVED = {"rsl_rl": [1, 3, 5], "skrl": [2, 4, 5], "rl_games": [2, 4, 5]}
"""Iterations of the checkpoints of five, saved every second one: rsl_rl counts the interval from the first one."""
MODEL = {"hidden_dims": [8, 8], "activation": "elu", "obs_normalization": True}
LAYERS = [{"name": "net", "input": "OBSERVATIONS", "layers": [8, 8], "activations": "elu"}]
EVALUATION = {"mode": "evaluate", "num_episodes": 20, "steps_per_episode": 40}


@pytest.fixture(scope="module", params=SIMULATORS["isaaclab-2"].libraries)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Left, subprocess.CompletedProcess[str]]:
    """A training of five iterations by Isaac Lab's script."""
    left = Left(request.param, tmp_path_factory.mktemp(request.param))
    training = job(left.library, max_iterations=5, checkpoint_interval=2)
    return left, start(left.directory, training)


def final(library: RlLibrary, checkpoint: Path) -> dict[str, torch.Tensor]:
    entry = "model_state_dict" if library == "rsl_rl" else "policy" if library == "skrl" else "model"
    contents: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)[entry]
    return contents


def test_a_training_leaves_what_the_runner_looks_for(trained: tuple[Left, subprocess.CompletedProcess[str]]) -> None:
    left, ended = trained
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(left.checkpoints) == SAVED[left.library]
    *_, last = TRAINING_PROGRESS.finditer(ended.stdout)
    assert (last["done"], last["total"]) == ("5", "5")
    assert yaml.safe_load((left.run / "params" / "agent.yaml").read_text())
    metrics = read_metrics(left.directory, left.library)
    assert len(metrics) == 5
    assert record_of(left.library).scalars.mean_reward in metrics
    assert (summarise(metrics, left.library, 16).training_seconds or 0) > 0
    if parts := [tag for tag in record_of(left.library).scalars.iteration_seconds if tag in metrics]:
        assert len(parts) == 2
    ran_with = read_ran_with(left.directory)
    assert ran_with is not None
    assert (ran_with.simulator, ran_with.versions["isaaclab"].rpartition(".")[0]) == ("isaaclab-2", "2.3.2")
    # The script went on to its own end.
    assert (left.directory / "environment-closed").exists()


MEMORY: dict[RlLibrary, list[str]] = {
    "rsl_rl": ["agent.policy.class_name=ActorCriticRecurrent"],
    "rl_games": [
        "+agent.params.network.rnn={name: lstm, units: 8, layers: 1}",
        "agent.params.config.seq_length=4",
    ],
}


@pytest.mark.parametrize("library", MEMORY)
def test_a_policy_with_a_memory_is_exported_with_its_states(tmp_path: Path, library: RlLibrary) -> None:
    left = Left(library, tmp_path)
    ended = start(tmp_path, job(library, max_iterations=1, hydra_overrides=MEMORY[library]))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    exported = PolicyExport.model_validate_json((left.run / "exported" / "policy.json").read_text())
    assert [one.name for one in exported.inputs] == ["obs", "h_in", "c_in"]
    assert exported.compared_steps > 1
    assert max(exported.max_abs_difference.values()) <= MAX_ABS_DIFFERENCE


def test_the_exported_policy_acts_as_the_library_does(trained: tuple[Left, subprocess.CompletedProcess[str]]) -> None:
    left, _ = trained
    exported = PolicyExport.model_validate_json((left.run / "exported" / "policy.json").read_text())
    assert exported.checkpoint == left.checkpoints[5].name
    assert exported.inputs[0].shape == ("batch", 4)
    assert set(exported.max_abs_difference) == {"policy.pt", "policy.onnx"}
    assert max(exported.max_abs_difference.values()) <= MAX_ABS_DIFFERENCE


@pytest.fixture(scope="module")
def stopped(
    trained: tuple[Left, subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Left, subprocess.CompletedProcess[str]]:
    """A training that starts from given weights, learns nothing, and is asked to stop in its first iteration."""
    before, _ = trained
    still = {
        "rsl_rl": ["agent.algorithm.learning_rate=0.0", "agent.algorithm.schedule=fixed"],
        "skrl": ["agent.agent.learning_rate=0.0", "agent.agent.learning_rate_scheduler=null"],
        "rl_games": ["agent.params.config.learning_rate=0.0", "agent.params.config.lr_schedule=null"],
    }[before.library]
    left = Left(before.library, tmp_path_factory.mktemp("stopped"))
    (left.directory / STOP_FILE).touch()
    training = job(left.library, max_iterations=1_000_000, checkpoint_interval=2, hydra_overrides=still)
    return left, start(left.directory, training, {"inputs": {"resume_checkpoint": str(before.checkpoints[5])}})


def test_a_training_that_is_asked_to_stop_saves_the_iteration_under_way(
    stopped: tuple[Left, subprocess.CompletedProcess[str]],
) -> None:
    left, ended = stopped
    assert ended.returncode == EXIT_STOPPED, ended.stdout + ended.stderr
    *_, told = TRAINING_PROGRESS.finditer(ended.stdout)
    assert told["done"] == "1"
    assert list(left.checkpoints) == [1]
    assert is_whole(left.checkpoints[1])
    assert ended.stderr.splitlines()[-1].endswith(f" after iteration 1, which is saved as {left.checkpoints[1].name}")
    assert len(read_metrics(left.directory, left.library)) == 1
    assert not (left.run / "exported").exists()


def test_weights_that_are_given_begin_a_new_training(
    trained: tuple[Left, subprocess.CompletedProcess[str]], stopped: tuple[Left, subprocess.CompletedProcess[str]]
) -> None:
    (before, _), (left, _) = trained, stopped
    begun, weights = (final(left.library, path) for path in (left.checkpoints[1], before.checkpoints[5]))
    names = [name for name in weights if "running" not in name and "std" not in name]
    assert names
    assert all(torch.equal(begun[name], weights[name]) for name in names)


def test_a_training_goes_on_to_its_total_in_its_directory(
    trained: tuple[Left, subprocess.CompletedProcess[str]],
    stopped: tuple[Left, subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    (whole, _), (before, _) = trained, stopped
    left = Left(before.library, tmp_path / "run")
    shutil.copytree(before.directory, left.directory, ignore=shutil.ignore_patterns(STOP_FILE))
    training = job(left.library, max_iterations=4, checkpoint_interval=2, record_video=True)
    ended = start(left.directory, training, {"continue_from": str(left.checkpoints[1])})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, *_, last = TRAINING_PROGRESS.finditer(ended.stdout)
    assert (first["done"], last["done"], last["total"]) == ("2", "4", "4")
    assert max(left.checkpoints) == 4
    assert len(read_metrics(left.directory, left.library)) == 4
    entry = "optimizer_state_dict" if left.library == "rsl_rl" else "optimizer"
    steps, of_five = (
        int(torch.load(path, weights_only=True)[entry]["state"][0]["step"])
        for path in (left.checkpoints[4], whole.checkpoints[5])
    )
    assert steps == of_five * 4 // 5
    (video,) = (left.run / "videos" / "train").iterdir()
    assert video.name == "rl-video-from-iteration-1-step-0.mp4"
    # Curricula of Isaac Lab read the environments' step counter, which begins at 0 in each process.
    steps_per_iteration = {"rsl_rl": 16, "skrl": 32, "rl_games": 32}[left.library]
    assert (left.directory / "environment-closed").read_text().split() == ["steps", str(4 * steps_per_iteration)]
    note = Resumption.model_validate_json((left.run / RESUMPTION_FILE.format(iteration=1)).read_text())
    assert f"(common_step_counter): {steps_per_iteration}," in note.restored[0]
    assert "states of the environments: all begin new episodes" in note.anew


def test_another_runs_checkpoint_is_continued_where_the_runner_places_it(
    trained: tuple[Left, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    before, _ = trained
    shutil.copy(before.checkpoints[5], tmp_path)
    shutil.copytree(before.run / "params", tmp_path / "params")
    parameters = {path: path.name for path in (tmp_path / "params").iterdir()}
    place_checkpoint(tmp_path / before.checkpoints[5].name, parameters, tmp_path, before.library)
    given = newest(tmp_path, before.library)
    assert given is not None
    ended = start(tmp_path, job(before.library, max_iterations=6), {"continue_from": str(given.path)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = newest(tmp_path, before.library)
    assert after is not None
    assert (given.iterations, after.iterations) == (5, 6)
    # Everything is in one directory, whatever the script has made.
    assert after.path.parent == given.path.parent
    assert len(read_metrics(tmp_path, before.library)) == 1


@pytest.fixture(scope="module")
def evaluated(
    trained: tuple[Left, subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """An evaluation of the last checkpoint, with a video; the request has the task's name in Isaac Lab 3."""
    left, _ = trained
    directory = tmp_path_factory.mktemp("evaluated")
    training = EVALUATION | job(left.library, record_video=True)
    training["task"] = str(training["task"]).removesuffix("-v0")
    return directory, start(directory, training, {"inputs": {"policy": str(left.checkpoints[5])}})


def test_an_evaluation_counts_episodes_and_records_them(
    evaluated: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, ended = evaluated
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "The task Isaac-Cartpole-Direct is Isaac-Cartpole-Direct-v0 in Isaac Lab 2.3.2" in ended.stdout
    *_, last = EVALUATION_PROGRESS.finditer(ended.stdout)
    assert (last["done"], last["total"]) == ("20", "20")
    table = pd.read_csv(directory / EVALUATION_METRICS)
    assert table["environment"].tolist() == [*range(16), *range(4)]
    assert set(table["termination"]) <= {"terminated", "truncated"}
    assert table["success"].equals(table["termination"] == "truncated")
    summary = EvaluationSummary.model_validate_json((directory / EVALUATION_SUMMARY).read_text())
    assert summary.mean_length == table["length"].mean()
    (video,) = (directory / EVALUATION_VIDEOS).iterdir()
    assert 30 < int(video.read_text()) <= 41


@pytest.mark.parametrize("trained", ["rsl_rl"], indirect=True)
def test_the_exported_policy_evaluates_as_its_checkpoint_does(
    trained: tuple[Left, subprocess.CompletedProcess[str]],
    evaluated: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    policy = trained[0].run / "exported" / "policy.pt"
    ended = start(tmp_path, EVALUATION | job("rsl_rl"), {"inputs": {"policy": str(policy)}})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    returns, native = (pd.read_csv(path / EVALUATION_METRICS)["return"].to_numpy() for path in (tmp_path, evaluated[0]))
    assert returns == pytest.approx(native, rel=1e-3)
    assert not (tmp_path / EVALUATION_VIDEOS).exists()


@pytest.mark.parametrize(
    ("library", "name", "settings"),
    [
        ("rsl_rl", "rsl_rl-5.5.1-normalised.pt", {"actor": MODEL, "critic": MODEL}),
        ("skrl", "skrl-2.1.1.pt", {"models": {"policy": {"network": LAYERS}, "value": {"network": LAYERS}}}),
        ("rl_games", "rl_games-numpy-2.pth", {"params": {"network": {"mlp": {"units": [8, 8]}}}}),
    ],
)
def test_a_checkpoint_of_a_newer_release_is_evaluated_with_the_settings_of_its_training(
    tmp_path: Path, library: RlLibrary, name: str, settings: dict[str, object]
) -> None:
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(settings))
    inputs = {"policy": str(FILES / name), "agent_settings": str(tmp_path / "agent.yaml")}
    ended = start(tmp_path, EVALUATION | job(library), {"inputs": inputs})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(pd.read_csv(tmp_path / EVALUATION_METRICS)) == 20


@pytest.mark.parametrize(
    ("training", "code", "words"),
    [
        (job("rsl_rl", task="Isaac-Cartpole-Dirct-v0"), EXIT_BAD_REQUEST, "nearest: Isaac-Cartpole-Direct-v0"),
        (
            job("rsl_rl", hydra_overrides=["agent.class_name=DistillationRunner"]),
            EXIT_BAD_REQUEST,
            r"DistillationRunner, which is not supported here, allowed: OnPolicyRunner$",
        ),
        (job("rsl_rl", hydra_overrides=["agent.sead=1"]), EXIT_BAD_REQUEST, "hydraOverrides: .*sead"),
        (job("rsl_rl", hydra_overrides=["env.action_scale=nan"]), EXIT_NOT_A_NUMBER, NOT_A_NUMBER.pattern),
    ],
)
def test_what_cannot_be_done_is_said_in_the_last_line(
    tmp_path: Path, training: dict[str, object], code: int, words: str
) -> None:
    ended = start(tmp_path, training | {"max_iterations": 2})
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert re.search(words, ended.stderr.splitlines()[-1])


def test_a_process_whose_kit_hangs_ends_all_the_same(tmp_path: Path) -> None:
    program = (
        "import gaitway.simulators.common.exits as app; app.CLOSING_SECONDS = 0.1; "
        "from isaacsim import SimulationApp; print('done', end=''); app.end_soon(); SimulationApp({}, '').close()"
    )
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(KIT_HANGS="1", PYTHONUNBUFFERED=""),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "done")
    assert time.monotonic() - began < 20
