"""One iteration before a training that would be dear to lose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.contracts.simulation import SimulationJob
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.runner.verdict import preflight
from gaitway.workloads import train
from tests.local.emulator import Emulator
from tests.local.runner_world import EVALUATION, TRAINING, World

TRIED = "Learning iteration 0/1 "
TRAINED = "Learning iteration 0/5 "
FAILED = "the pre-flight (a short trial before the training itself) failed: "
THREE_ATTEMPTS = {"GAITWAY_JOB_ATTEMPTS": "3"}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in which five iterations are a long training."""
    monkeypatch.setattr(train, "LONG_TRAINING_ITERATIONS", TRAINING.max_iterations)
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def log_of(world: World) -> str:
    return world.objects()["simulator.log"].decode()


def test_a_long_training_is_tried_and_leaves_no_trace_but_its_words(world: World) -> None:
    world.submit()

    assert world.run_here("succeed") == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"
    log = log_of(world)
    assert 0 <= log.index(TRIED) < log.index(TRAINED)
    assert not [name for name in world.objects() if "preflight" in name]
    assert [path.name for path in (world.directory / preflight.DIRECTORY).iterdir()] == ["passed"]


def test_it_is_the_training_itself_but_for_its_length(world: World) -> None:
    training = TRAINING.model_copy(update={"record_video": True, "hydra_overrides": ["env.action_scale=1"]})
    world.submit(training)

    world.run_here("refuse")

    tried, whole = (
        SimulationJob.model_validate_json((world.directory / folder / "simulation.json").read_text())
        for folder in (preflight.DIRECTORY, ".")
    )
    assert tried.training == training.model_copy(update={"max_iterations": 1, "record_video": False})
    assert tried.model_copy(update={"training": training}) == whole


def test_a_short_training_is_its_own_pre_flight(world: World) -> None:
    world.submit(TRAINING.model_copy(update={"max_iterations": TRAINING.max_iterations - 1}))

    assert world.run_here("succeed") == EXIT_DONE

    assert not (world.directory / preflight.DIRECTORY).exists()


def test_an_evaluation_is_not_tried(world: World) -> None:
    policy = world.output / "model_1.pt"
    world.s3.put_object(Bucket=policy.bucket, Key=policy.key, Body=b"weights")
    world.submit(EVALUATION, policy=policy)

    assert world.run_here("succeed") == EXIT_DONE

    assert not (world.directory / preflight.DIRECTORY).exists()


def test_a_training_that_goes_on_is_not_tried_again(world: World) -> None:
    world.submit()
    assert world.run_here("succeed_once_then_crash_half_way", variables=THREE_ATTEMPTS) == EXIT_ATTEMPT_AGAIN

    assert world.run_here("succeed", variables=THREE_ATTEMPTS | {"AWS_BATCH_JOB_ATTEMPT": "2"}) == EXIT_DONE

    assert log_of(world).count(TRIED) == 1


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("refuse", "RequestError", "trainingConfig.task is 'Isaac-Cartpole-v0', which is not registered"),
        ("fail_to_start", "SimulationError", "RuntimeError: the device answers with error 13"),
        ("exit_early", "SimulationError", "the simulator ended well, but the training has done nothing"),
    ],
)
def test_what_would_fail_is_told_before_anything_is_trained(world: World, script: str, error: str, words: str) -> None:
    world.submit()

    # Though Batch would attempt the job again: it would only fail again.
    assert world.run_here(script, variables=THREE_ATTEMPTS) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == error
    assert outcome["cause"].startswith(FAILED)
    assert words in outcome["cause"]
    assert world.record.phase == "preflight"
    assert TRAINED not in log_of(world)


def test_a_simulator_that_stays_after_its_iteration_is_ended(world: World) -> None:
    world.submit()

    assert world.run_here("stay_after_the_work", variables={"GAITWAY_EXIT_ALLOWANCE_SECONDS": "0.5"}) == EXIT_DONE
