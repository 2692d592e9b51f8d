"""Real Isaac Lab 3.0 with Newton physics, under the simulator that the runner starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EXIT_BAD_REQUEST,
    EXIT_NOT_A_NUMBER,
    EXIT_STOPPED,
    NOT_A_NUMBER,
    STOP_FILE,
    TRAINING_PROGRESS,
    EvaluationSummary,
    PolicyExport,
)
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.checkpoints import is_whole
from gaitway.libraries.simulators import SIMULATORS
from gaitway.local import isaaclab3
from gaitway.outputs.results import read_ran_with
from gaitway.simulators.common.export import MAX_ABS_DIFFERENCE
from gaitway.workloads.checkpoints import checkpoints
from gaitway.workloads.metrics import read_metrics
from gaitway.workloads.train import TRAIN
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3
from tests.unit.simulators.jobs import REPOSITORY, updates, write_job

pytestmark = only_with_isaac_lab_3

TASK = "Isaac-Cartpole-Direct"

LIBRARIES = tuple(SIMULATORS["isaaclab-3"].libraries)


def job(library: str = "rsl_rl", **training: Any) -> dict[str, Any]:
    return {"task": TASK, "rl_library": library, "num_envs": 16, "seed": 7, **training}


PROGRAM = (sys.executable, "-m", "gaitway.simulators.isaaclab3", "simulation.json")


def environment(**variables: str) -> dict[str, str]:
    """As the runner's: the simulator finds Isaac Lab 3 and its assets itself. Kernels are kept for all tests."""
    given = {"PYTHONPATH": str(REPOSITORY), "GAITWAY_ASSET_SOURCE": "", "WARP_CACHE_PATH": str(isaaclab3.KERNELS)}
    return os.environ | given | variables


def start(
    directory: Path, training: dict[str, Any], variables: Mapping[str, str] | None = None, **given: object
) -> subprocess.CompletedProcess[str]:
    """Run the simulator to its end in a directory."""
    write_job(directory, training, **given)
    return subprocess.run(
        PROGRAM,
        cwd=directory,
        env=environment(**(variables or {})),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@dataclass(frozen=True)
class Trained:
    """A training by real Isaac Lab that was asked to stop after its first iteration, and then continued."""

    library: RlLibrary
    directory: Path
    stopped: subprocess.CompletedProcess[str]
    saved: list[tuple[int | None, str]]
    """Checkpoints after the stop."""
    ended: subprocess.CompletedProcess[str]

    def checkpoints(self) -> dict[int | None, Path]:
        return {found.iterations: found.path for found in checkpoints(self.directory, self.library)}


def train(library: RlLibrary, directory: Path) -> Trained:
    training = job(library, max_iterations=3, checkpoint_interval=2)
    directory.mkdir(exist_ok=True)
    (directory / STOP_FILE).touch()
    stopped = start(directory, training)
    assert stopped.returncode == EXIT_STOPPED, stopped.stdout + stopped.stderr
    saved = checkpoints(directory, library)
    (directory / STOP_FILE).unlink()
    (first,) = [found for found in saved if found.iterations == 1]
    ended = start(directory, training, continue_from=str(first.path))
    return Trained(library, directory, stopped, [(found.iterations, found.name) for found in saved], ended)


@pytest.fixture(scope="module")
def rsl_rl(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train("rsl_rl", tmp_path_factory.mktemp("rsl_rl"))


def check(trained: Trained) -> None:
    """A training that was stopped leaves its iteration, and goes on to the run's total in the same directory."""
    library, stopped, ended = trained.library, trained.stopped, trained.ended
    assert re.search(r"after iteration 1, which is saved as \S+$", stopped.stderr.splitlines()[-1])
    assert "Traceback" not in stopped.stderr
    assert [iterations for iterations, _ in trained.saved] == [1]
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, *_, last = TRAINING_PROGRESS.finditer(ended.stdout)
    assert (first["done"], last["done"], last["total"]) == ("2", "3", "3")
    found = trained.checkpoints()
    assert max(filter(None, found)) == 3
    assert all(is_whole(path) for path in found.values())
    assert len(list((trained.directory / "logs" / library).glob("*/*"))) == 1
    metrics = read_metrics(trained.directory, library)
    assert len(metrics) == 3
    # Three iterations of sb3 are too short for an episode to end.
    assert library == "sb3" or record_of(library).scalars.mean_reward in metrics
    (written,) = trained.directory.rglob("policy.json")
    exported = PolicyExport.model_validate_json(written.read_text(encoding="utf-8"))
    assert (exported.task, exported.iterations, exported.inputs[0].shape) == (TASK, 3, ("batch", 4))
    assert max(exported.max_abs_difference.values()) <= MAX_ABS_DIFFERENCE
    # LEAPP needs a manager-based task.
    summary = TRAIN.judge(trained.directory, TrainingConfig(task=TASK, rl_library=library, max_iterations=3), 1)
    assert summary.not_exported is None
    assert "this is a direct task" in (summary.no_leapp or "")
    # The optimiser goes on as well: its steps are those of three iterations.
    (steps, of_one) = (updates(library, found[iterations]) for iterations in (3, 1))
    assert steps == 3 * of_one


def test_a_training_is_stopped_and_goes_on_to_its_total(rsl_rl: Trained) -> None:
    check(rsl_rl)


def test_a_training_says_which_versions_ran_and_on_what(rsl_rl: Trained) -> None:
    """The process has Isaac Lab on its path; the runner, and this test, have not."""
    ran_with = read_ran_with(rsl_rl.directory)
    assert ran_with is not None
    assert ran_with.simulator == "isaaclab-3"
    assert ran_with.device
    versions = ran_with.versions
    assert versions["isaaclab"].startswith("3.0.")
    assert versions["rsl-rl-lib"] == version("rsl-rl-lib")
    assert {"gymnasium", "mujoco", "mujoco-warp", "newton", "python", "torch", "warp-lang"} < set(versions)
    assert "skrl" not in versions


@pytest.mark.slow
@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "rsl_rl"])
def test_each_library_is_stopped_and_goes_on_to_its_total(library: RlLibrary, tmp_path: Path) -> None:
    check(train(library, tmp_path))


@pytest.mark.slow
def test_sigterm_saves_the_iteration(tmp_path: Path) -> None:
    write_job(tmp_path, job(max_iterations=10_000, checkpoint_interval=10_000))
    with subprocess.Popen(
        PROGRAM,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as simulator:
        assert simulator.stdout is not None
        lines: list[str] = []
        for line in simulator.stdout:
            lines.append(line)
            if TRAINING_PROGRESS.search(line):
                simulator.terminate()
                break
        lines += simulator.stdout
    assert simulator.returncode == EXIT_STOPPED, "".join(lines)
    saved = re.search(r"after iteration (\d+), which is saved as (\S+)$", lines[-1].strip())
    assert saved
    assert (int(saved[1]), saved[2]) in [(found.iterations, found.name) for found in checkpoints(tmp_path, "rsl_rl")]


@pytest.mark.slow
def test_an_evaluation_counts_every_episode_and_films_the_first(rsl_rl: Trained, tmp_path: Path) -> None:
    policy = str(rsl_rl.checkpoints()[3])
    evaluation = job(mode="evaluate", num_episodes=20, steps_per_episode=12, record_video=True)
    ended = start(tmp_path, evaluation, policy=policy)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    episodes = pd.read_csv(tmp_path / EVALUATION_METRICS)
    assert list(episodes["episode"]) == list(range(20))
    summary = EvaluationSummary.model_validate_json((tmp_path / EVALUATION_SUMMARY).read_text(encoding="utf-8"))
    assert summary.episodes == 20
    assert summary.mean_return == pytest.approx(episodes["return"].mean())
    (video,) = (tmp_path / EVALUATION_VIDEOS).iterdir()
    assert video.name.startswith(TASK)
    # The exported policy plays the same episodes.
    (torchscript,) = rsl_rl.directory.rglob("exported/policy.pt")
    again = tmp_path / "again"
    ended = start(again, evaluation | {"record_video": False}, policy=str(torchscript))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(pd.read_csv(again / EVALUATION_METRICS)["length"]) == list(episodes["length"])


@pytest.mark.slow
def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    training = job(max_iterations=4, hydra_overrides=["agent.algorithm.learning_rate=1e30"])
    ended = start(tmp_path, training)
    assert ended.returncode == EXIT_NOT_A_NUMBER, ended.stdout + ended.stderr
    assert NOT_A_NUMBER.search(ended.stderr.splitlines()[-1])
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_policy_that_does_not_fit_is_refused_in_one_line(rsl_rl: Trained, tmp_path: Path) -> None:
    evaluation = job(mode="evaluate", num_episodes=2, hydra_overrides=["agent.actor.hidden_dims=[8]"])
    ended = start(tmp_path, evaluation, policy=str(rsl_rl.checkpoints()[3]))
    assert ended.returncode == EXIT_BAD_REQUEST, ended.stdout + ended.stderr
    assert "agent.actor.hidden_dims=[8]" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


PACKAGE = """
import gymnasium
from isaaclab_tasks.core.cartpole.cartpole_direct_env_cfg import CartpoleEnvCfg
from isaaclab.utils import configclass

@configclass
class Calm(CartpoleEnvCfg):
    initial_pole_angle_range = (-0.01, 0.01)

gymnasium.register(
    id="Mine-Calm", entry_point="isaaclab_tasks.core.cartpole.cartpole_direct_env:CartpoleEnv",
    disable_env_checker=True,
    kwargs={
        "env_cfg_entry_point": f"{__name__}:Calm",
        "rsl_rl_cfg_entry_point": "isaaclab_tasks.core.cartpole.agents.rsl_rl_ppo_cfg:CartpoleDirectPPORunnerCfg",
    },
)
"""


@pytest.mark.slow
def test_a_custom_environment_trains(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "mine.py").write_text(PACKAGE, encoding="utf-8")
    training = job(max_iterations=1) | {"task": "Mine-Calm"}
    custom = {"path": str(package), "projects": [{"name": "mine", "import_root": str(package), "modules": ["mine"]}]}
    ended = start(tmp_path / "run", training, custom_environment=custom)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Trained iterations: 1/1" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("training", "words"),
    [
        (
            {"task": "Isaac-Cartpole-Dirct"},
            r"-Dirct'.* Isaac Lab 3\.0 does not have, nearest: Isaac-Cartp",
        ),
        (
            {"task": "IsaacContrib-Factory-PegInsert-Direct", "rl_library": "rl_games"},
            "no physics for Newton.*isaaclab-2",
        ),
        ({"hydra_overrides": ["env.rew_scale_alife=2"]}, r"did you mean env\.rew_scale_alive\?"),
        ({"hydra_overrides": ["agent.algorithm.learning_rte=1"]}, r"did you mean agent\.algorithm\.learning_rate\?"),
        ({"hydra_overrides": ["agent.algorithm.learning_rate=fast"]}, "is 'fast', allowed: a number"),
        ({"hydra_overrides": ["+env.nothing=1"]}, "hydraOverrides: .*nothing"),
        ({"hydra_overrides": ["physics=newton_nothing"]}, "newton_nothing.*newton_mjwarp"),
    ],
)
def test_what_does_not_exist_is_refused_before_the_training(
    tmp_path: Path, training: dict[str, object], words: str
) -> None:
    ended = start(tmp_path, job(max_iterations=2) | training)
    assert ended.returncode == EXIT_BAD_REQUEST, ended.stdout + ended.stderr
    assert re.search(words, ended.stderr.splitlines()[-1])
    assert not (tmp_path / "logs").exists()


def test_several_processes_are_refused_where_there_is_no_gpu_for_each(tmp_path: Path) -> None:
    # As torchrun starts each of them; none waits for the other one.
    variables = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
    ended = start(tmp_path, job(max_iterations=2), variables)
    assert ended.returncode == EXIT_BAD_REQUEST, ended.stdout + ended.stderr
    assert ended.stderr.splitlines()[-1] == (
        "gpusPerNode and numNodes: Isaac Lab 3.0 trains in several processes on GPUs only, allowed: 1"
    )


@pytest.mark.slow
def test_a_missing_robot_is_named_before_the_training(tmp_path: Path) -> None:
    ended = start(tmp_path, job(max_iterations=2) | {"task": "Isaac-Velocity-Flat-H1"})
    assert ended.returncode == 1
    assert re.search(
        r"Isaac-Velocity-Flat-H1 needs assets that are not in .*h1_minimal\.usd", ended.stderr.splitlines()[-1]
    )
    assert not (tmp_path / "logs").exists()


RECURRENT = """
import gymnasium
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlRNNModelCfg
from isaaclab_tasks.core.cartpole.agents.rsl_rl_ppo_cfg import CartpoleDirectPPORunnerCfg

def with_memory(distribution=None):
    return RslRlRNNModelCfg(
        hidden_dims=[16], activation="elu", obs_normalization=False, distribution_cfg=distribution, rnn_type="gru",
        rnn_hidden_dim=16, rnn_num_layers=1,
    )

@configclass
class Agent(CartpoleDirectPPORunnerCfg):
    actor = with_memory(RslRlRNNModelCfg.GaussianDistributionCfg(init_std=1.0))
    critic = with_memory()

gymnasium.register(
    id="Mine-Remembers", entry_point="isaaclab_tasks.core.cartpole.cartpole_direct_env:CartpoleEnv",
    disable_env_checker=True,
    kwargs={
        "env_cfg_entry_point": "isaaclab_tasks.core.cartpole.cartpole_direct_env_cfg:CartpoleEnvCfg",
        "rsl_rl_cfg_entry_point": f"{__name__}:Agent",
    },
)
"""


@pytest.mark.slow
def test_a_policy_with_a_memory_trains_and_is_exported_with_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "remembers.py").write_text(RECURRENT, encoding="utf-8")
    projects = [{"name": "remembers", "import_root": str(package), "modules": ["remembers"]}]
    training = job(max_iterations=2) | {"task": "Mine-Remembers"}
    ended = start(tmp_path / "run", training, custom_environment={"path": str(package), "projects": projects})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (written,) = tmp_path.rglob("policy.json")
    exported = PolicyExport.model_validate_json(written.read_text(encoding="utf-8"))
    assert len(exported.inputs) == 2
    assert max(exported.max_abs_difference.values()) <= MAX_ABS_DIFFERENCE
