"""A run that may cost so much and no more: stopped with its checkpoint saved, told, and not tried again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gaitway.contracts.artifacts import Results, RunConfig
from gaitway.contracts.history import Cost
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.reporting import budget
from gaitway.runner.run import EXIT_FAILED
from tests.local.deployed import TINY, ControlPlane, Json
from tests.local.emulator import Emulator
from tests.local.runner_world import EVALUATION, TRAINING, World, priced
from tests.unit.runner.ecs_agent import IMAGE, ecs_agent, task

pytestmark = pytest.mark.slow

LONG = TrainingConfig(max_iterations=999, num_envs=8)
FIRST_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "1", "GAITWAY_JOB_ATTEMPTS": "3"}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def refusal(world: World) -> str:
    """What the machine that waits for the job is told."""
    outcome = world.outcome()
    assert (outcome["status"], outcome["error"]) == ("FAILED", "BudgetExceededError")
    return str(outcome["cause"])


def test_a_training_that_comes_to_its_limit_saves_a_checkpoint_and_ends(world: World, tmp_path: Path) -> None:
    world.submit(LONG, compute=ComputeConfig(max_cost_usd=11.5))
    pulled = datetime.now(UTC) - timedelta(seconds=10)

    with ecs_agent(task(pulled.isoformat(), (pulled + timedelta(seconds=9)).isoformat())) as agent:
        variables = {"ECS_CONTAINER_METADATA_URI_V4": agent} | priced(tmp_path, usd_per_second=1.0)
        code = world.run_here("train_until_asked_to_stop", variables=FIRST_OF_THREE | variables)

    # Not left to Batch's next attempt.
    assert code == EXIT_FAILED
    cause = refusal(world)
    said = re.search(
        r"cost (?P<usd>[\d.]+) USD, and may cost 11\.5 USD .* after (?P<done>\d+) of 999 iterations", cause
    )
    assert said is not None, cause
    objects = world.objects()
    checkpoint = f"checkpoints/model_{int(said['done']) - 1}.pt"
    assert checkpoint in objects
    assert f"{world.output / checkpoint}, after {said['done']} iterations: a new run" in cause
    assert "resumeFrom" in cause
    assert {"metrics.csv", "report.html", "simulator.log"} <= set(objects)
    results = Results.model_validate_json(objects["results.json"])
    assert results.failure is not None
    assert results.failure.error == "BudgetExceededError"
    assert results.cost is not None
    assert 11.5 <= float(said["usd"]) <= results.cost.usd + 0.01
    assert results.history is not None
    (attempt,) = results.history.attempts
    assert (attempt.outcome, attempt.image_pull_began_at) == ("BudgetExceededError", pulled)
    assert RunConfig.model_validate_json(objects["training-config.json"]).image == IMAGE


def test_a_training_that_does_not_end_is_ended(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SAVE_SECONDS", 0.3)
    world.submit(LONG, compute=ComputeConfig(max_cost_usd=10.0))

    assert world.run_here("hang", variables=priced(tmp_path, usd_per_second=10.0)) == EXIT_FAILED

    assert "of 999 iterations" in refusal(world)


def test_an_attempt_of_a_run_that_has_nothing_left_ends_before_its_simulator(world: World, tmp_path: Path) -> None:
    world.submit(TRAINING, compute=ComputeConfig(max_cost_usd=10.0))
    # As an attempt leaves it that was killed after it had asked its training to stop.
    world.table.update(world.run_id, cost=Cost(usd=10.5, machine_seconds=10.5))
    world.directory.mkdir(parents=True)
    (world.directory / "stop-and-save").touch()

    assert world.run_here("succeed", variables=priced(tmp_path, usd_per_second=0.01)) == EXIT_FAILED

    assert "cost 10.5" in refusal(world)
    assert not (world.directory / "simulator.log").exists()


def test_an_evaluation_is_ended_at_its_limit(world: World, tmp_path: Path) -> None:
    world.submit(EVALUATION, compute=ComputeConfig(max_cost_usd=10.0))

    assert world.run_here("hang", variables=priced(tmp_path, usd_per_second=10.0)) == EXIT_FAILED

    assert "after 0 of 3 episodes. Start a new run with fewer episodes" in refusal(world)


def test_a_limit_is_refused_where_nobody_knows_what_the_machine_costs(world: World) -> None:
    world.submit(TRAINING, compute=ComputeConfig(max_cost_usd=10.0))

    assert world.run_here("succeed") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "RequestError"
    assert "instancePrices" in outcome["cause"]


@pytest.fixture
def dear_machine(plane: ControlPlane, local_state: Path) -> Iterator[str]:
    """What this machine says of itself, until the test is over."""
    path = local_state / "instance" / "etc" / "gaitway" / "machine.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"instanceType": "g6e.48xlarge", "purchase": "spot"}', encoding="utf-8")
    yield "g6e.48xlarge"
    path.unlink()


def test_a_caller_is_told_and_a_retry_begins_no_job(plane: ControlPlane, dear_machine: str) -> None:
    training: Json = TINY | {"maxIterations": 999, "numEnvs": 256, "checkpointInterval": 999}
    # 30 USD an hour: reached after some two seconds, in which the simulator starts; it trains an iteration at least.
    machine = plane.vams_machine({"trainingConfig": training, "computeConfig": {"maxCostUsd": 0.02}})

    execution = plane.ended(plane.start(machine, plane.vams_input()))

    assert execution["status"] == "FAILED"
    record = plane.vams_record_of(execution)
    assert record is not None
    assert (record.state, record.attempts) == (RunState.FAILED, 1)
    assert len(plane.jobs_of(record.run_id)) == 1
    assert record.failure is not None
    told = [event["taskFailedEventDetails"] for event in plane.events(execution["executionArn"], "TaskFailed")]
    refused = f"refused, since this run failed before and no retry can help: {record.failure.cause}"
    assert [one["error"] for one in told] == ["BudgetExceededError"] * 3
    assert [one["cause"] for one in told] == [record.failure.cause, refused, refused]
    assert record.machine is not None
    assert (record.machine.instance_type, record.machine.purchase) == (dear_machine, "spot")
    assert record.cost is not None
    assert record.cost.usd >= 0.02
    found = re.search(r"newest checkpoint is (\S+), after (\d+) iterations", record.failure.cause)
    assert found is not None, record.failure.cause
    checkpoint = S3Uri.parse(found[1])
    assert checkpoint.name == f"model_{int(found[2]) - 1}.pt"
    assert plane.s3.head_object(Bucket=checkpoint.bucket, Key=checkpoint.key)["ContentLength"] > 0
