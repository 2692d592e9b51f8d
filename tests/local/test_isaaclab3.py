"""Real Isaac Lab 3.0 through the runner: killed, resumed to its total, and evaluated."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaitway.contracts.artifacts import Results
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.local.runner_world import World
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3

pytestmark = [pytest.mark.slow, only_with_isaac_lab_3]

TASK = "Isaac-Cartpole-Direct"
SIMULATOR = "gaitway.simulators.isaaclab3"
PYTHON = (sys.executable, "-m")
FIRST_OF_TWO = {"GAITWAY_JOB_ATTEMPTS": "2"}
LONG = 60
"""Iterations that take longer than it takes to interrupt them."""


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def test_a_training_that_is_killed_resumes_and_its_policy_is_evaluated(world: World, emulator: Emulator) -> None:
    world.submit(
        TrainingConfig(task=TASK, num_envs=16, max_iterations=LONG, checkpoint_interval=20),
        heartbeat_timeout_seconds=300,
    )
    codes: list[int] = []

    def attempt() -> None:
        codes.append(world.run_here(SIMULATOR, variables=FIRST_OF_TWO, command=PYTHON))

    first = threading.Thread(target=attempt)
    first.start()
    until(lambda: bool(list(world.directory.rglob("model_0.pt"))) or bool(codes), 200)
    (simulator,) = [each for each in psutil.Process().children() if SIMULATOR in each.cmdline()]
    simulator.kill()
    first.join(120)
    assert codes == [EXIT_ATTEMPT_AGAIN]

    second = FIRST_OF_TWO | {"AWS_BATCH_JOB_ATTEMPT": "2"}
    assert world.run_here(SIMULATOR, variables=second, command=PYTHON) == EXIT_DONE
    assert world.outcome()["status"] == "SUCCEEDED"
    objects = world.objects()
    results = Results.model_validate_json(objects["results.json"])
    assert results.training is not None
    assert results.training.iterations == LONG
    # A row for each iteration, of both attempts together.
    assert len(objects["metrics.csv"].splitlines()) == LONG + 1
    assert {"exported/policy.onnx", "params/agent.yaml", f"checkpoints/model_{LONG - 1}.pt"} <= set(objects)

    again = World(emulator, world.efs_root)
    try:
        again.create_bucket()
        again.submit(
            EvaluationConfig(task=TASK, num_envs=16, num_episodes=20),
            policy=world.output / f"checkpoints/model_{LONG - 1}.pt",
            heartbeat_timeout_seconds=300,
        )
        assert again.run_here(SIMULATOR, command=PYTHON) == EXIT_DONE
        assert again.outcome()["status"] == "SUCCEEDED"
    finally:
        again.close()
