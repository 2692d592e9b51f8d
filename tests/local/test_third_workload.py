"""A workload that Gaitway does not have goes through all of it, with no more than its own two modules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.contracts.artifacts import MANIFEST, METRICS, REPORT, RESULTS, SIMULATOR_LOG, Results, RunConfig
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import parse_request
from gaitway.runner.run import EXIT_DONE, EXIT_FAILED
from tests.local.emulator import Emulator
from tests.local.runner_world import World
from tests.unit.workloads.replay import SIMULATOR, ReplayConfig, register

REQUEST = {"trainingConfig": {"mode": "replay", "numTrajectories": 3, "maxIterations": 10}}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    register(monkeypatch)
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def test_a_third_workload_is_requested_run_judged_and_reported(world: World) -> None:
    request = parse_request(REQUEST)
    world.submit(request.training_config)
    spec = world.record.spec
    assert spec is not None
    assert spec.training == request.training_config == ReplayConfig(num_trajectories=3)

    assert world.run_here("succeed", command=SIMULATOR) == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"
    progress = world.record.progress
    assert progress is not None
    assert (progress.done, progress.total) == (3, 3)
    objects = world.objects()
    assert {METRICS, RESULTS, REPORT, MANIFEST, SIMULATOR_LOG, "replay-config.json"} <= objects.keys()
    results = Results.read(objects[RESULTS])
    assert (results.mode, results.rl_library, results.training) == ("replay", None, None)
    assert results.evaluation is not None
    assert (results.evaluation.episodes, results.evaluation.mean_return) == (3, 2.5)
    assert RunConfig.read(objects["replay-config.json"]).training_config == spec.training
    assert b"replay of Isaac-Cartpole-v0</p>" in objects[REPORT]


def test_it_fails_by_what_it_lacks(world: World) -> None:
    world.submit(ReplayConfig(num_trajectories=3))

    assert world.run_here("stop early", command=SIMULATOR) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "SimulationError"
    assert outcome["cause"].startswith("2 of 3 trajectories were replayed. The last lines of its output:")


def test_where_it_is_not_registered_it_is_refused_and_taken_for_no_other() -> None:
    with pytest.raises(RequestError, match=r"trainingConfig\.mode is 'replay', allowed: 'train' or 'evaluate'"):
        parse_request(REQUEST)
