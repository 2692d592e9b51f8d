"""Every library trains, counts, continues, stops and exports alike, with its own names and its own words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx.reference
import pytest
import torch
import yaml

from gaitway.contracts.simulation import (
    EVALUATION_SUMMARY,
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
from gaitway.libraries import RlLibrary
from gaitway.libraries.checkpoints import is_whole, length_beside
from gaitway.simulators.common import watch
from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectEnvironment
from gaitway.simulators.embedded.cartpole.dynamics import State
from tests.unit.simulators.jobs import (
    LIBRARIES,
    NUM_ENVS,
    OPTIMISER,
    REPOSITORY,
    ROLLOUTS,
    TASK,
    Left,
    networks,
    optimiser,
    read,
    run_here,
    updates,
    write,
    write_job,
)

LOSS = {"rsl_rl": "Loss/value", "skrl": "Loss / Value loss", "rl_games": "losses/c_loss", "sb3": "train/value_loss"}
FIXED_RATE = {
    "rsl_rl": "agent.algorithm.schedule=fixed",
    "skrl": "agent.agent.learning_rate_scheduler=null",
    "rl_games": "agent.params.config.lr_schedule=null",
    # It knows no other.
    "sb3": "agent.target_kl=null",
}
RATE = {
    "rsl_rl": "agent.algorithm.learning_rate",
    "skrl": "agent.agent.learning_rate",
    "rl_games": "agent.params.config.learning_rate",
    "sb3": "agent.learning_rate",
}
UPDATES_PER_ITERATION = {"rsl_rl": 5 * 4, "skrl": 8 * 8, "rl_games": 8, "sb3": 20}


def tiny(library: RlLibrary, **changes: Any) -> dict[str, Any]:
    training = {"task": TASK, "num_envs": NUM_ENVS, "max_iterations": 5, "checkpoint_interval": 2, "seed": 7}
    return training | {"rl_library": library} | changes


@pytest.fixture(scope="module", params=LIBRARIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Left, str]:
    """A tiny training with each library, and what it printed."""
    library: RlLibrary = request.param
    directory = tmp_path_factory.mktemp(library)
    capture = pytest.MonkeyPatch()
    output = directory / "output.txt"
    with capture.context() as monkeypatch, output.open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_here(monkeypatch, directory, tiny(library)) == 0
    return Left(library, directory), output.read_text()


def copied(left: Left, directory: Path, without_iterations: set[int]) -> Left:
    """What an attempt would have left that ended before some of the checkpoints."""
    shutil.copytree(left.directory, directory)
    copy = Left(left.library, directory)
    for iteration in without_iterations:
        copy.checkpoints[iteration].unlink()
    shutil.rmtree(copy.run / "exported")
    return copy


def test_checkpoints_come_at_the_interval_and_at_the_end_under_native_names(trained: tuple[Left, str]) -> None:
    left, _ = trained
    names = {iterations: str(path.relative_to(left.run)) for iterations, path in left.checkpoints.items()}
    if left.library == "rsl_rl":
        assert names == {1: "model_0.pt", 3: "model_2.pt", 5: "model_4.pt"}
    elif left.library == "skrl":
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_ppo_torch", left.run.name)
        assert names == {iterations: f"checkpoints/agent_{32 * iterations}.pt" for iterations in (2, 4, 5)}
        assert (left.run / "checkpoints" / "best_agent.pt").exists()
    elif left.library == "sb3":
        assert names == {iterations: f"model_{16 * NUM_ENVS * iterations}_steps.zip" for iterations in (2, 4, 5)}
    else:
        assert set(names) == {2, 4, 5}
        assert all(name.startswith(f"nn/last_cartpole_direct_ep_{number}_rew_") for number, name in names.items())
    assert all(is_whole(path) for path in left.checkpoints.values())
    assert not list(left.run.rglob(".*")), "no temporary file is left"


def test_parameters_are_isaac_labs_with_the_request_in_them(trained: tuple[Left, str]) -> None:
    left, _ = trained
    text = (left.run / "params" / "agent.yaml").read_text()
    agent = yaml.safe_load(text)
    if left.library == "skrl":
        assert (agent["seed"], agent["trainer"]["timesteps"]) == (7, 160)
        assert (agent["agent"]["lambda"], agent["agent"]["class"]) == (0.95, "PPO")
        assert length_beside("skrl", left.checkpoints[5]) == ROLLOUTS["skrl"]
    elif left.library == "rl_games":
        config = agent["params"]["config"]
        assert (agent["params"]["seed"], config["max_epochs"], config["save_frequency"]) == (7, 5, 2)
    elif left.library == "sb3":
        assert (agent["seed"], agent["n_timesteps"]) == (7, 5 * 16 * NUM_ENVS)
        assert length_beside("sb3", left.checkpoints[5]) == 16 * NUM_ENVS
    else:
        assert (agent["seed"], agent["max_iterations"], agent["save_interval"]) == (7, 5, 2)


def test_progress_is_told_in_the_same_words(trained: tuple[Left, str]) -> None:
    left, output = trained
    first, *_, last = TRAINING_PROGRESS.finditer(output)
    assert (first["done"], last["done"], last["total"]) == ("1", "5", "5")
    assert float(last["steps_per_second"]) > 0
    if left.library in ("rsl_rl", "rl_games"):
        assert re.search(r"Learning iteration 4/5|epoch: 5/5", output), "the library's own words stay"


def test_metrics_have_a_row_for_every_iteration(trained: tuple[Left, str]) -> None:
    left, _ = trained
    steps = {
        "rsl_rl": [0, 1, 2, 3, 4],
        "skrl": [32, 64, 96, 128, 160],
        "rl_games": [number * 32 * NUM_ENVS for number in range(5)],
        "sb3": [number * 16 * NUM_ENVS for number in range(1, 6)],
    }[left.library]
    assert list(left.scalars(LOSS[left.library])) == steps


@pytest.mark.parametrize("torn", [False, True])
def test_a_training_goes_on_where_a_checkpoint_stands(
    trained: tuple[Left, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    torn: bool,
) -> None:
    whole, _ = trained
    *_, newest, final = whole.checkpoints
    left = copied(whole, tmp_path / "again", without_iterations=set() if torn else {final})
    if torn:
        left.checkpoints[final].write_bytes(b"torn")
    given = left.checkpoints[newest]
    before = given.read_bytes()
    counted: list[int] = []
    sample = CartpoleDirectEnvironment._sample_states

    def sample_counted(environment: CartpoleDirectEnvironment) -> State:
        counted.append(environment.common_step_counter)
        return sample(environment)

    monkeypatch.setattr(CartpoleDirectEnvironment, "_sample_states", sample_counted)
    assert run_here(monkeypatch, left.directory, tiny(left.library), continue_from=str(given)) == 0
    # A curriculum sees the steps of the whole training, from the first episodes on.
    length = ROLLOUTS[left.library]
    assert counted[:3] == [0, newest * length, newest * length + 1]
    assert counted[-1] == 5 * length
    note = Resumption.model_validate_json((left.run / RESUMPTION_FILE.format(iteration=newest)).read_text())
    assert f"(common_step_counter): {newest * length}," in note.restored[0]
    assert "what the task keeps besides that counter" in note.anew

    assert list(left.checkpoints) == list(whole.checkpoints)
    assert is_whole(left.checkpoints[final]) or left.library == "rl_games", "its names tell rewards, too"
    assert given.read_bytes() == before
    assert list(left.scalars(LOSS[left.library])) == list(whole.scalars(LOSS[left.library]))
    assert (left.run / "exported" / "policy.onnx").exists()
    first = next(TRAINING_PROGRESS.finditer(capsys.readouterr().out))
    assert (first["done"], first["total"]) == (str(newest + 1), "5")


def test_all_that_a_checkpoint_holds_carries_on(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trained
    *_, newest, final = whole.checkpoints
    left = copied(whole, tmp_path / "again", without_iterations={final})
    library, given = left.library, left.checkpoints[newest]
    contents = read(given)
    contents[OPTIMISER[library]]["param_groups"][0]["lr"] = 1.25e-5
    write(contents, given)
    training = tiny(library, hydra_overrides=[FIXED_RATE[library]])
    assert run_here(monkeypatch, left.directory, training, continue_from=str(given)) == 0

    resumed, uninterrupted = left.checkpoints[final], whole.checkpoints[final]
    rate = 3e-4 if library == "sb3" else 1.25e-5
    assert optimiser(library, resumed)["param_groups"][0]["lr"] == rate, "that of a schedule, not of the settings"
    assert updates(library, resumed) == updates(library, uninterrupted) == 5 * UPDATES_PER_ITERATION[library]
    for name, tensor in networks(library, resumed).items():
        if name.endswith("count"):
            assert tensor == networks(library, uninterrupted)[name], "a normaliser has seen as much"
    if library == "rl_games":
        assert (read(resumed)["epoch"], read(resumed)["frame"]) == (5, 5 * 32 * NUM_ENVS)
    if library == "rsl_rl":
        assert read(resumed)["iter"] == 4


@pytest.mark.parametrize("trained", ["skrl", "rl_games"], indirect=True)
def test_skrl_and_rl_games_remember_the_best_reward(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trained
    *_, newest, final = whole.checkpoints
    left = copied(whole, tmp_path / "again", without_iterations={final})
    given = left.checkpoints[newest]
    best = left.run / ("checkpoints/best_agent.pt" if left.library == "skrl" else "nn/cartpole_direct.pth")
    best.write_bytes(b"the best")
    contents = read(given)
    if left.library == "skrl":
        contents["best"]["reward"] = 1e6
    else:
        contents["last_mean_rewards"] = 1e6
    torch.save(contents, given)
    overrides = ["agent.params.config.save_best_after=1"] if left.library == "rl_games" else []
    training = tiny(left.library, hydra_overrides=overrides, checkpoint_interval=1)
    assert run_here(monkeypatch, left.directory, training, continue_from=str(given)) == 0
    assert best.read_bytes() == b"the best"


def test_a_complete_training_is_not_trained_again(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trained
    left = copied(whole, tmp_path / "again", without_iterations=set())
    final = left.checkpoints[5]
    before = final.read_bytes()
    assert run_here(monkeypatch, left.directory, tiny(left.library), continue_from=str(final)) == 0
    assert list(left.checkpoints) == list(whole.checkpoints)
    assert final.read_bytes() == before
    assert (left.run / "exported" / "policy.json").exists(), "what was missing is there now"


class StopsAt(StringIO):
    """Output of a training; who reads a certain progress line in it asks for the end."""

    def __init__(self, iteration: int) -> None:
        super().__init__()
        self.iteration = iteration

    def write(self, text: str) -> int:
        match = TRAINING_PROGRESS.match(text)
        if match and int(match["done"]) == self.iteration:
            Path(STOP_FILE).touch()
        return super().write(text)


def test_a_training_that_is_asked_to_stop_saves_the_iteration_under_way_and_can_go_on(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = trained
    library = whole.library
    # Saved at an interval that does not meet the end.
    training = tiny(library, checkpoint_interval=4)
    monkeypatch.setattr(watch, "MIN_SECONDS_BETWEEN_LINES", 0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output := StopsAt(3))
        assert run_here(monkeypatch, tmp_path, training) == EXIT_STOPPED
    left = Left(library, tmp_path)
    assert max(left.checkpoints) == 3
    assert is_whole(left.checkpoints[3])
    *_, last = TRAINING_PROGRESS.finditer(output.getvalue())
    assert last["done"] == "3"
    *_, words = capsys.readouterr().err.splitlines()
    assert words == f"Stopped as asked after iteration 3, which is saved as {left.checkpoints[3].name}"
    assert not (left.run / "exported").exists()

    (tmp_path / STOP_FILE).unlink()
    assert run_here(monkeypatch, tmp_path, training, continue_from=str(left.checkpoints[3])) == 0
    assert next(TRAINING_PROGRESS.finditer(capsys.readouterr().out))["done"] == "4"
    assert list(left.scalars(LOSS[library])) == list(whole.scalars(LOSS[library])), "no row is missing, or there twice"
    assert updates(library, left.checkpoints[5]) == updates(library, whole.checkpoints[5])


def test_a_training_that_is_asked_to_stop_at_its_end_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath(STOP_FILE).touch()
    assert run_here(monkeypatch, tmp_path, tiny("rsl_rl", max_iterations=1)) == 0
    assert (Left("rsl_rl", tmp_path).run / "exported" / "policy.json").exists()


def test_a_checkpoint_from_elsewhere_is_not_continued(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left, _ = trained
    other = left.checkpoints[5]
    assert run_here(monkeypatch, tmp_path, tiny(left.library), continue_from=str(other)) == EXIT_BAD_REQUEST
    assert "is not a checkpoint of this run" in capsys.readouterr().err


def test_a_new_training_starts_from_given_weights(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, _ = trained
    still = [FIXED_RATE[left.library], f"{RATE[left.library]}=0"]
    training = tiny(left.library, max_iterations=1, checkpoint_interval=1, hydra_overrides=still)
    assert run_here(monkeypatch, tmp_path, training, resume_checkpoint=str(left.checkpoints[5])) == 0
    begun = Left(left.library, tmp_path)
    assert list(begun.checkpoints) == [1]
    given = networks(left.library, left.checkpoints[5])
    for name, tensor in networks(left.library, begun.checkpoints[1]).items():
        # The normalisers go on learning from what they see, from where they stood.
        assert torch.equal(tensor, given[name]) or "running" in name or "count" in name
        assert not name.endswith("count") or tensor > given[name]
    assert updates(left.library, begun.checkpoints[1]) == UPDATES_PER_ITERATION[left.library]


def test_exports_act_as_the_library_does(trained: tuple[Left, str]) -> None:
    left, _ = trained
    exported = left.run / "exported"
    summary = PolicyExport.model_validate_json((exported / "policy.json").read_text())
    assert (summary.rl_library, summary.task, summary.iterations) == (left.library, TASK, 5)
    assert summary.checkpoint == left.checkpoints[5].name
    assert set(summary.max_abs_difference) == {"policy.pt", "policy.onnx"}
    assert max(summary.max_abs_difference.values()) < 1e-5
    observations = np.random.default_rng(1).normal(scale=4, size=(7, 4)).astype(np.float32)
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        policy = torch.jit.load(exported / "policy.pt")  # type: ignore[no-untyped-call]
    scripted = policy(torch.from_numpy(observations)).detach()
    (evaluated,) = onnx.reference.ReferenceEvaluator(str(exported / "policy.onnx")).run(None, {"obs": observations})
    assert scripted.shape == (7, 1), "any number of environments"
    np.testing.assert_allclose(scripted, np.asarray(evaluated), atol=1e-5)
    assert scripted.abs().max() > 0
    if left.library == "rl_games":
        assert scripted.abs().max() <= 1


def test_an_exported_policy_is_evaluated_as_its_checkpoint_is(
    trained: tuple[Left, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, _ = trained
    training = {"mode": "evaluate", "task": TASK, "num_envs": 4, "num_episodes": 4, "rl_library": left.library}
    summaries = []
    for policy in (left.checkpoints[5], left.run / "exported" / "policy.pt"):
        assert run_here(monkeypatch, tmp_path, training, policy=str(policy)) == 0
        summaries.append(EvaluationSummary.model_validate_json(EVALUATION_SUMMARY.read_text()))
    assert summaries[0] == summaries[1]


def test_an_exported_policy_of_another_task_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
        scripted = torch.jit.trace(torch.nn.Linear(7, 2), (torch.zeros(1, 7),))  # type: ignore[no-untyped-call]
    scripted.save(str(tmp_path / "policy.pt"))
    training = {"mode": "evaluate", "task": TASK}
    assert run_here(monkeypatch, tmp_path, training, policy="policy.pt") == EXIT_BAD_REQUEST
    (line,) = capsys.readouterr().err.splitlines()
    assert "policy.pt is not an exported policy that fits the task" in line


@pytest.mark.parametrize("library", LIBRARIES)
def test_nan_ends_a_training_before_it_is_saved(
    library: RlLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = tiny(library, hydra_overrides=["env.action_scale=.nan"], checkpoint_interval=1)
    assert run_here(monkeypatch, tmp_path, training) == EXIT_NOT_A_NUMBER
    match = NOT_A_NUMBER.fullmatch(capsys.readouterr().err.splitlines()[-1])
    assert match is not None
    assert match["iteration"] == "1"
    assert not Left(library, tmp_path).checkpoints


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_learning_rate_that_is_none_leaves_no_weights_behind(
    library: RlLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [FIXED_RATE[library], f"{RATE[library]}=.inf"]
    assert run_here(monkeypatch, tmp_path, tiny(library, hydra_overrides=overrides)) == EXIT_NOT_A_NUMBER
    assert NOT_A_NUMBER.search(capsys.readouterr().err)
    assert not Left(library, tmp_path).checkpoints


@pytest.mark.parametrize("library", ["skrl", "rl_games"])
def test_a_checkpoint_of_another_network_is_refused_with_the_setting_to_give(
    library: RlLibrary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = {"log_std": torch.zeros(7)}
    torch.save({"policy": weights, "model": weights}, tmp_path / "other.pt")
    training = {"mode": "evaluate", "task": TASK, "rl_library": library}
    assert run_here(monkeypatch, tmp_path, training, policy="other.pt") == EXIT_BAD_REQUEST
    assert re.search(r"that fits agent\..*\[32, 32\]", capsys.readouterr().err)


def test_what_sb3_normalises_with_carries_on_and_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    normalising = ["agent.normalize_input=true", "agent.normalize_value=true"]
    training = tiny("sb3", max_iterations=3, checkpoint_interval=1, hydra_overrides=normalising)
    assert run_here(monkeypatch, tmp_path, training) == 0
    left = Left("sb3", tmp_path)
    seen = read(left.checkpoints[2])["normalisers.pt"]
    assert seen["observations"]["mean"].abs().sum() > 0
    left.checkpoints[3].unlink()
    assert run_here(monkeypatch, tmp_path, training, continue_from=str(left.checkpoints[2])) == 0
    later = read(left.checkpoints[3])["normalisers.pt"]
    # An iteration's steps, and the first observations of the attempt.
    assert later["observations"]["count"] - seen["observations"]["count"] == 17 * NUM_ENVS
    exported = PolicyExport.model_validate_json((left.run / "exported" / "policy.json").read_text())
    assert "shifted, scaled and clipped to 10" in exported.normalisation

    assert run_here(monkeypatch, tmp_path / "other", tiny("sb3", max_iterations=1)) == 0
    plain = Left("sb3", tmp_path / "other").checkpoints[1]
    evaluation = {"mode": "evaluate", "task": TASK, "rl_library": "sb3", "hydra_overrides": normalising}
    assert run_here(monkeypatch, tmp_path, evaluation, policy=str(plain)) == EXIT_BAD_REQUEST
    assert "agent.normalize_input=True" in capsys.readouterr().err


@pytest.mark.parametrize("trained", ["sb3"], indirect=True)
def test_sb3_itself_reads_the_checkpoints(trained: tuple[Left, str]) -> None:
    from stable_baselines3 import PPO

    left, _ = trained
    observations = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    actions, _ = PPO.load(left.checkpoints[5], device="cpu").predict(observations, deterministic=True)
    (exported,) = onnx.reference.ReferenceEvaluator(str(left.run / "exported" / "policy.onnx")).run(
        None, {"obs": observations}
    )
    np.testing.assert_allclose(actions, np.asarray(exported), atol=1e-5)


def test_what_is_no_checkpoint_of_sb3_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"policy": {}}, tmp_path / "other.pt")
    (tmp_path / "torn.zip").write_bytes(b"torn")
    training = {"mode": "evaluate", "task": TASK, "rl_library": "sb3"}
    for policy, said in (("other.pt", "not policy.pth"), ("torn.zip", "cannot be read as a checkpoint of sb3")):
        assert run_here(monkeypatch, tmp_path, training, policy=policy) == EXIT_BAD_REQUEST
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("library", ["skrl", "rl_games", "sb3"])
def test_a_training_killed_at_any_time_leaves_whole_checkpoints_and_metrics(library: RlLibrary, tmp_path: Path) -> None:
    write_job(tmp_path, tiny(library, max_iterations=100_000, checkpoint_interval=1))
    with subprocess.Popen(
        [sys.executable, "-m", "gaitway.simulators.embedded", "simulation.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        done = 0
        for line in process.stdout:
            if match := TRAINING_PROGRESS.match(line):
                done = int(match["done"])
            if done >= 20:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
    left = Left(library, tmp_path)
    # The line comes before the iteration's checkpoint: that one may be missing.
    assert len(left.checkpoints) >= done - 1
    assert all(is_whole(path) and read(path) for path in left.checkpoints.values())
