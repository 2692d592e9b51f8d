"""Real Isaac Lab 3.0 through the runner: killed, stopped, taken back, resumed to its total, and evaluated with a video.

And what its callers are told of what cannot be done.
"""

from __future__ import annotations

import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from gaitway.contracts.artifacts import Results
from gaitway.contracts.errors import InterruptedRunError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.local import isaaclab3
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.runner.stop import StopRequest
from gaitway.workloads.checkpoints import newest
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.local.runner_world import World
from tests.local.test_runner_attempts import FIRST_OF_THREE, LAST_OF_THREE, SECOND_OF_THREE, FakeBatch
from tests.local.test_spot import Instance, serve
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), only_with_isaac_lab_3]

TASK = "Isaac-Cartpole-Direct"
SIMULATOR = "gaitway.simulators.isaaclab3"
PYTHON = (sys.executable, "-m")
LONG = 150
"""Iterations that take longer than it takes to interrupt them."""
HEARTBEAT_SECONDS = 300
"""Kernels are compiled for a minute where there are none."""


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Kernels are kept for all tests, as they are for all runs of an embedded deployment.
    monkeypatch.setenv("WARP_CACHE_PATH", str(isaaclab3.KERNELS))
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def submit(world: World, package: S3Uri | None = None, **training: object) -> None:
    """Begin a training, small unless something else is said."""
    given = {"task": TASK, "num_envs": 16, "max_iterations": 2} | training
    world.submit(
        TrainingConfig.model_validate(given),
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        package=package,
    )


def attempt(world: World, variables: dict[str, str] | None = None, stop: StopRequest | None = None) -> int:
    """Run the job once; Batch attempts it again as far as its attempts reach, unless somebody has terminated it."""
    host = world.host(variables, FakeBatch(isTerminated=False))
    return world.run_here(SIMULATOR, stop=stop, variables=variables, host=host, command=PYTHON)


def interrupted(world: World, variables: dict[str, str], interrupt: Callable[[], None], stop: StopRequest) -> int:
    """Run the job, and interrupt it after its first iteration of this attempt."""
    log = world.directory / "simulator.log"
    before = log.read_text().count("Learning iteration") if log.exists() else 0
    codes: list[int] = []
    running = threading.Thread(target=lambda: codes.append(attempt(world, variables, stop)))
    running.start()
    until(lambda: bool(codes) or (log.exists() and log.read_text().count("Learning iteration") > before), 200)
    interrupt()
    running.join(120)
    (code,) = codes
    return code


def kill_simulator() -> None:
    (simulator,) = [each for each in psutil.Process().children() if SIMULATOR in _command(each)]
    simulator.kill()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        # It has ended meanwhile.
        return []


def saved(world: World) -> int:
    """Return how many iterations the newest checkpoint has, which must be in S3, too."""
    checkpoint = newest(world.directory, "rsl_rl")
    assert checkpoint is not None
    assert f"checkpoints/{checkpoint.name}" in world.objects()
    assert checkpoint.iterations is not None
    return checkpoint.iterations


def results(world: World) -> Results:
    return Results.model_validate_json(world.objects()["results.json"])


def test_a_training_is_killed_stopped_and_taken_back_and_its_policy_is_evaluated(
    world: World, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four attempts at one run. Without an interruption it would save at its first and its last iteration only."""
    submit(world, max_iterations=LONG, checkpoint_interval=10_000)
    four = {"GAITWAY_JOB_ATTEMPTS": "4"}

    # The process dies with what it had done since its first checkpoint.
    assert interrupted(world, FIRST_OF_THREE | four, kill_simulator, StopRequest()) == EXIT_ATTEMPT_AGAIN
    assert saved(world) == 1

    # Batch stops the container.
    stop = StopRequest()
    sigterm = InterruptedRunError("the job was asked to stop (SIGTERM)")
    assert interrupted(world, SECOND_OF_THREE | four, lambda: stop.request(sigterm), stop) == EXIT_ATTEMPT_AGAIN
    after_stop = saved(world)
    assert 1 < after_stop < LONG

    # AWS takes the Spot instance back.
    monkeypatch.setattr("gaitway.runner.host.spot._POLL_SECONDS", 0.05)
    monkeypatch.setattr("gaitway.runner.host.spot.SpotNotices.wait_until_gone", lambda self, stop: None)
    instance = Instance()
    with serve(instance):
        variables = LAST_OF_THREE | four | instance.variables(tmp_path)
        announce = lambda: instance.take_back(timedelta(minutes=2))  # noqa: E731
        assert interrupted(world, variables, announce, StopRequest()) == EXIT_ATTEMPT_AGAIN
    after_notice = saved(world)
    assert after_stop < after_notice < LONG

    assert attempt(world, {"AWS_BATCH_JOB_ATTEMPT": "4"} | four) == EXIT_DONE
    assert world.outcome()["status"] == "SUCCEEDED"
    trained = results(world)
    assert trained.training is not None
    assert trained.training.iterations == LONG
    assert trained.history is not None
    assert [each.resumed_from or 0 for each in trained.history.attempts] == [0, 1, after_stop, after_notice]
    objects = world.objects()
    # A row for each iteration, of all attempts together.
    assert len(objects["metrics.csv"].splitlines()) == LONG + 1
    assert {"exported/policy.onnx", "params/agent.yaml", f"checkpoints/model_{LONG - 1}.pt"} <= set(objects)

    again = World(emulator, world.efs_root)
    try:
        again.create_bucket()
        again.submit(
            EvaluationConfig(task=TASK, num_envs=16, num_episodes=20, steps_per_episode=60, record_video=True),
            policy=world.output / f"checkpoints/model_{LONG - 1}.pt",
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
        assert again.run_here(SIMULATOR, command=PYTHON) == EXIT_DONE
        assert again.outcome()["status"] == "SUCCEEDED"
        evaluated = results(again)
        assert evaluated.evaluation is not None
        assert evaluated.evaluation.episodes == 20
        (video,) = [name for name in again.objects() if name.endswith(".mp4")]
        # An MP4 says so in its first box.
        assert again.objects()[video][4:8] == b"ftyp"
    finally:
        again.close()


TASKS = """
from pathlib import Path

import gymnasium
from isaaclab.utils import configclass
from isaaclab_tasks.core.cartpole.cartpole_direct_env_cfg import CartpoleEnvCfg

ROBOT = Path(__file__).with_name("robots") / "own.usd"

@configclass
class OwnRobot(CartpoleEnvCfg):
    def __post_init__(self):
        super().__post_init__()
        self.scene.cartpole.spawn.usd_path = str(ROBOT)

gymnasium.register(
    id="Mine-Own-Robot", entry_point="isaaclab_tasks.core.cartpole.cartpole_direct_env:CartpoleEnv",
    disable_env_checker=True,
    kwargs={
        "env_cfg_entry_point": f"{__name__}:OwnRobot",
        "rsl_rl_cfg_entry_point": "isaaclab_tasks.core.cartpole.agents.rsl_rl_ppo_cfg:CartpoleDirectPPORunnerCfg",
    },
)
"""
PROJECT = """
[project]
name = "own-robot"
version = "1.0"

[project.entry-points."isaaclab.tasks"]
own = "own_robot.of_isaac_lab"
"""
CARTPOLE = "Isaac/IsaacLab/Robots/Classic/Cartpole/cartpole.usd"
OWN = "robots/own.usd"


@pytest.fixture
def package(world: World, tmp_path: Path) -> S3Uri:
    """A project as docs/custom-environments.md describes it: nothing but its entry point leads to its tasks."""
    archive = tmp_path / "own-robot.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("own-robot/pyproject.toml", PROJECT)
        opened.writestr("own-robot/own_robot/__init__.py", "")
        opened.writestr("own-robot/own_robot/of_isaac_lab.py", TASKS)
        opened.write(isaaclab3.ASSETS / CARTPOLE, f"own-robot/own_robot/{OWN}")
    world.s3.upload_file(str(archive), world.bucket, archive.name)
    return S3Uri(world.bucket, archive.name)


def test_a_package_trains_its_own_task_with_the_robot_that_it_brings(
    world: World, package: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Isaac Lab's own cart-pole is nowhere, nor may it be fetched.
    assets = tmp_path / "assets"
    shutil.copytree(isaaclab3.ASSETS, assets)
    (assets / CARTPOLE).unlink()
    monkeypatch.setenv("ISAACSIM_ASSET_ROOT", str(assets))
    monkeypatch.setenv("GAITWAY_ASSET_SOURCE", "")
    submit(world, package, task="Mine-Own-Robot")

    assert attempt(world) == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"
    env = yaml.unsafe_load(world.objects()["params/env.yaml"])
    robot = Path(env["scene"]["cartpole"]["spawn"]["usd_path"])
    assert robot.is_relative_to(world.directory)
    assert str(robot).endswith(OWN)


@pytest.mark.parametrize(
    ("training", "error", "words"),
    [
        ({"task": "Isaac-Cartpole-Dirct"}, "RequestError", "nearest: Isaac-Cartpole-Direct"),
        ({"hydra_overrides": ["env.rew_scale_alife=2"]}, "RequestError", "did you mean env.rew_scale_alive?"),
        ({"task": "Isaac-Velocity-Flat-H1"}, "SimulationError", "h1_minimal.usd"),
    ],
    ids=["task", "key", "asset"],
)
def test_a_caller_receives_at_once_what_is_wrong_and_no_other_attempt_follows(
    world: World, training: dict[str, Any], error: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITWAY_ASSET_SOURCE", "")
    submit(world, **training)

    assert attempt(world, FIRST_OF_THREE) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == error, outcome
    assert words in outcome["cause"]
    assert not [name for name in world.objects() if name.startswith("checkpoints/")]
