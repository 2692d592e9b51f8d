"""A task that needs cameras gets them, unless the request says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.contracts.artifacts import Results
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.workloads import train
from tests.local.emulator import Emulator
from tests.local.runner_world import TRAINING, World

THREE_ATTEMPTS = {"GAITWAY_JOB_ATTEMPTS": "3"}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    """A world in which everything may be written."""
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def starts(world: World) -> list[str]:
    """Say of each start of the simulator whether it had cameras."""
    lines = world.objects()["simulator.log"].decode().splitlines()
    return [line.removeprefix("cameras: ") for line in lines if line.startswith("cameras: ")]


def asked(enable_cameras: bool | None) -> TrainingConfig:
    return TRAINING.model_copy(update={"enable_cameras": enable_cameras})


def test_it_is_started_again_with_cameras_and_record_results_and_report_say_so(world: World) -> None:
    world.submit(asked(None))

    assert world.run_here("need_cameras") == EXIT_DONE

    assert starts(world) == ["None", "True"]
    assert "cameras" in (world.record.remark or "")
    objects = world.objects()
    history = Results.read(objects["results.json"]).history
    assert history is not None
    assert [attempt.with_cameras for attempt in history.attempts] == [True]
    assert "started again with cameras" in objects["report.html"].decode()


def test_where_the_request_says_yes_there_is_one_start(world: World) -> None:
    world.submit(asked(True))

    assert world.run_here("need_cameras") == EXIT_DONE

    assert starts(world) == ["True"]
    assert world.record.remark is None
    assert "started again" not in world.objects()["report.html"].decode()


def test_where_the_request_says_no_the_run_fails_and_says_what_to_give(world: World) -> None:
    world.submit(asked(False))

    assert world.run_here("need_cameras") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "CamerasNeededError"
    assert "trainingConfig.enableCameras is false, allowed: true" in outcome["cause"]
    assert "A camera was spawned without" in outcome["cause"]


def test_a_pre_flight_finds_it_out_for_the_training(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "LONG_TRAINING_ITERATIONS", TRAINING.max_iterations)
    world.submit(asked(None))

    assert world.run_here("need_cameras") == EXIT_DONE

    assert starts(world) == ["None", "True", "True"]


def test_the_next_attempt_begins_with_cameras(world: World) -> None:
    world.submit(asked(None))
    assert world.run_here("need_cameras_and_crash", variables=THREE_ATTEMPTS) == EXIT_ATTEMPT_AGAIN

    assert world.run_here("need_cameras", variables=THREE_ATTEMPTS | {"AWS_BATCH_JOB_ATTEMPT": "2"}) == EXIT_DONE

    assert starts(world) == ["None", "True", "True"]
    assert json.loads((world.directory / "simulation.json").read_text())["training"]["enableCameras"] is True
