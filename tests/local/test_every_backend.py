"""The same runs on every back end: killed, evaluated, stopped by hand, over budget, refused; their callers are told.

What only one of them does is in `test_sagemaker.py`, `test_slurm.py` and `test_eks.py`, and for AWS Batch in
`test_resume.py`, `test_spot.py` and `test_multi_node.py`. docs/compute.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.compute.jobs import JobState
from gaitway.contracts.artifacts import METRICS, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunState
from tests.local.deployed import TINY
from tests.local.every_backend import BACKENDS, ENDLESS, WORDS, World, every_backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("backend", BACKENDS),
]

TOTAL = 120
"""Iterations of a training that is interrupted: enough to be caught at work."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    launcher = every_backend(tmp_path_factory.mktemp("all") / "state")
    try:
        yield World(launcher)
    finally:
        launcher.down()


def test_a_training_that_is_killed_goes_on_to_its_total_and_its_policy_is_evaluated(
    world: World, backend: str, tmp_path: Path
) -> None:
    run = world.start(backend, maxIterations=TOTAL, checkpointInterval=5)
    job_id = world.trains_beyond(run, 10)
    world.kill(backend, job_id)
    trained = world.succeeds(run, tmp_path / "trained")
    assert trained.training is not None
    assert (trained.training.iterations, trained.attempts) == (TOTAL, 2)
    assert trained.history is not None
    assert trained.history.attempts[1].resumed_from > 0
    # It was one job, and the same one.
    assert world.record(run).job_id == job_id
    assert world.ends(job_id).state is JobState.SUCCEEDED

    request = {
        "trainingConfig": {"mode": "evaluate", "task": TINY["task"], "numEnvs": 8, "numEpisodes": 8},
        "computeConfig": {"backend": backend},
    }
    evaluation = world.plane.runs.start(parse_request(request), input_file=run.output_files / METRICS)
    evaluated: Results = world.succeeds(evaluation, tmp_path / "evaluated")
    assert evaluated.evaluation is not None
    assert evaluated.evaluation.episodes == 8


def test_a_job_that_is_ended_by_hand_is_told_to_its_caller(world: World, backend: str) -> None:
    run = world.start(backend, maxIterations=ENDLESS)
    job_id = world.trains_beyond(run, 1)
    WORDS[backend].end(world, job_id)
    execution = world.ended(run)
    assert execution["status"] == "FAILED"
    record = world.record(run)
    assert record.failure is not None
    assert (record.state, execution["error"]) == (RunState.FAILED, record.failure.error)
    assert record.failure.error in ("CancelledError", "InterruptedRunError")
    assert world.ends(job_id).state is JobState.FAILED


@pytest.fixture
def dear(world: World, backend: str) -> Iterator[None]:
    """A machine that costs some money, until the test is over; where the deployment says what it is, it does."""
    path = WORDS[backend].price(world)
    if path is None:
        yield
        return
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"instanceType": "ml.g6e.48xlarge"}', encoding="utf-8")
    yield
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)


@pytest.mark.usefixtures("dear")
def test_a_run_ends_when_it_has_cost_what_it_may_and_is_not_attempted_again(world: World, backend: str) -> None:
    run = world.start(backend, {"maxCostUsd": 0.001}, maxIterations=ENDLESS)
    execution = world.ended(run)
    record = world.record(run)
    assert (execution["status"], execution["error"]) == ("FAILED", "BudgetExceededError"), execution
    assert "and may cost 0.001 USD" in execution["cause"]
    assert record.cost is not None
    assert record.cost.usd >= 0.001
    assert record.attempts == 1
    assert record.job_id is not None
    assert world.ends(record.job_id).state is JobState.FAILED


def test_more_nodes_than_there_are_is_refused_before_there_is_a_job(world: World, backend: str) -> None:
    most = {"batch": 4, "sagemaker": 4, "hyperpod-eks": 2, "hyperpod-slurm": 2}[backend]
    run = world.start(backend, {"numNodes": 64})
    execution = world.ended(run)
    assert (execution["status"], execution["error"]) == ("FAILED", "RequestError")
    assert f"computeConfig.numNodes is 64, allowed here: at most {most} with 1 per node" in execution["cause"]
    assert world.record(run).job_id is None
