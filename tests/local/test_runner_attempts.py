"""A run that needs several attempts: what is gone on from, what is told, and what the run looks like in the end."""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.artifacts import Manifest, Results
from gaitway.contracts.errors import InterruptedRunError
from gaitway.contracts.run import Progress, RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner import attempt as attempt_module
from gaitway.runner.host.lock import locked
from gaitway.runner.retry import retrying_if
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.runner.stop import StopRequest
from tests.local.emulator import Emulator
from tests.local.runner_world import World, parse, priced
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY

TRAINING = TrainingConfig(max_iterations=9, num_envs=8)
"""Half-way, the newest checkpoint is model_2.pt, and iteration 4 is logged: see the simulator's script."""
SECOND_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "2", "GAITWAY_JOB_ATTEMPTS": "3"}
LAST_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "3", "GAITWAY_JOB_ATTEMPTS": "3"}
SECOND_JOB = {"AWS_BATCH_JOB_ID": "job-2"}
FIRST_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "1", "GAITWAY_JOB_ATTEMPTS": "3"}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    world.submit(TRAINING)
    yield world
    world.close()


def rows_of(objects: dict[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(objects["metrics.csv"].decode())))


def results_of(objects: dict[str, bytes]) -> Results:
    return Results.model_validate_json(objects["results.json"])


def test_an_attempt_that_crashes_half_way_tells_nobody_and_the_next_one_goes_on(world: World) -> None:
    assert world.run_here("crash_half_way", variables=FIRST_OF_THREE) == EXIT_ATTEMPT_AGAIN
    assert world.status(world.execution) == "RUNNING"
    assert world.record.state is RunState.QUEUED
    assert "results.json" not in world.objects()

    assert world.run_here("succeed", variables=SECOND_OF_THREE) == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"
    log = (world.directory / "simulator.log").read_text()
    assert f"Continuing from {world.directory / LOG_DIRECTORY / 'model_2.pt'}" in log
    objects = world.objects()
    rows = rows_of(objects)
    assert [int(row["step"]) for row in rows] == list(range(9))
    # The first attempt had logged iterations 3 and 4, too: they were trained again.
    assert [float(row["wall_time"]) >= 2e9 for row in rows] == [False] * 3 + [True] * 6
    results = results_of(objects)
    assert results.attempts == 2
    assert results.training is not None
    assert results.training.final_checkpoint == "checkpoints/model_8.pt"
    manifest = Manifest.model_validate_json(objects["manifest.json"])
    assert {f"checkpoints/model_{n}.pt" for n in (0, 2, 4, 6, 8)} <= {entry.path for entry in manifest.files}


def test_a_run_is_interrupted_and_resumed_more_than_once(world: World) -> None:
    for attempt in ("1", "2"):
        variables = LAST_OF_THREE | {"AWS_BATCH_JOB_ATTEMPT": attempt}
        assert world.run_here("crash_half_way", variables=variables) == EXIT_ATTEMPT_AGAIN

    assert world.run_here("succeed", variables=LAST_OF_THREE) == EXIT_DONE

    objects = world.objects()
    assert [int(row["step"]) for row in rows_of(objects)] == list(range(9))
    assert results_of(objects).attempts == 3


def test_the_last_attempt_tells_the_caller(world: World) -> None:
    assert world.run_here("crash_half_way", variables=LAST_OF_THREE) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "SimulationError"
    assert "signal SIGKILL" in outcome["cause"]


@pytest.mark.parametrize("script", ["fail_to_start", "diverge", "refuse"])
def test_what_would_only_happen_again_is_told_at_once(world: World, script: str) -> None:
    assert world.run_here(script, variables=FIRST_OF_THREE) == EXIT_FAILED

    assert world.outcome()["status"] == "FAILED"


def test_a_training_that_diverged_names_the_last_good_checkpoint(world: World) -> None:
    world.run_here("diverge", variables=FIRST_OF_THREE)

    outcome = world.outcome()
    assert outcome["error"] == "NotANumberError"
    assert outcome["cause"].startswith("NaN in the weights of actor at iteration 4: ")
    assert str(world.output / "checkpoints/model_2.pt") in outcome["cause"]


def test_a_runner_that_was_lost_with_its_machine_is_gone_on_from(world: World, tmp_path: Path) -> None:
    prices = priced(tmp_path, usd_per_second=1.0)
    job = world.start_job("lose_the_runner", **FIRST_OF_THREE, **prices)
    assert job.wait() == -signal.SIGKILL
    assert world.status(world.execution) == "RUNNING"

    assert world.run_here("succeed", variables=SECOND_OF_THREE | prices) == EXIT_DONE

    objects = world.objects()
    assert [int(row["step"]) for row in rows_of(objects)] == list(range(9))
    results = results_of(objects)
    assert results.attempts == 2
    # What the lost attempt has cost is not lost with it.
    assert results.history is not None
    lost, last = results.history.attempts
    assert (lost.outcome, lost.resumed_from, last.outcome, last.resumed_from) == (None, 0, "succeeded", 3)
    assert lost.last_seen_at == last.queued_at
    moments = [lost.began_at, lost.last_seen_at, last.began_at, last.simulator_began_at, last.first_progress_at]
    moments += [last.simulator_ended_at, last.uploaded_at, last.last_seen_at]
    known = [moment for moment in moments if moment is not None]
    assert len(known) == len(moments)
    assert known == sorted(known)
    assert lost.cost is not None
    assert last.cost is not None
    assert lost.cost.usd > 0
    assert results.cost is not None
    assert results.cost.usd == pytest.approx(lost.cost.usd + last.cost.usd, abs=0.1)
    recorded = world.record
    assert recorded.cost is not None
    assert recorded.cost.usd >= results.cost.usd
    assert recorded.machine is not None
    assert (recorded.machine.instance_type, recorded.machine.price_as_of) == ("local", "setting")


def test_a_torn_checkpoint_is_passed_over_and_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.run_here("crash_half_way", variables=FIRST_OF_THREE)
    torn = world.directory / LOG_DIRECTORY / "model_2.pt"
    torn.write_bytes(torn.read_bytes()[:-5])

    with caplog.at_level(logging.WARNING):
        assert world.run_here("succeed", variables=SECOND_OF_THREE) == EXIT_DONE

    assert "model_2.pt is incomplete or corrupt" in caplog.text
    assert "model_0.pt" in (world.directory / "simulator.log").read_text()
    objects = world.objects()
    assert [int(row["step"]) for row in rows_of(objects)] == list(range(9))


def test_progress_is_that_of_the_whole_run(world: World) -> None:
    world.run_here("crash_half_way", variables=FIRST_OF_THREE)
    assert world.record.progress is not None
    assert (world.record.progress.done, world.record.progress.total) == (4, 9)

    world.run_here("fail_to_start", variables=SECOND_OF_THREE)

    # What the attempt began with.
    assert world.record.progress == Progress(done=3, total=9)


def test_a_training_that_is_complete_is_only_brought_to_its_end(world: World) -> None:
    clients, stop = world.clients(), StopRequest()
    taken_away = InterruptedRunError("the machine is taken away while results are uploaded")
    clients.s3.meta.events.register("before-call.s3.PutObject", lambda **_: stop.request(taken_away))
    assert world.run_here("export", clients, stop) == EXIT_FAILED
    assert "manifest.json" not in world.objects()
    world.submit_again()

    assert world.run_here("crash", variables=SECOND_JOB) == EXIT_DONE

    objects = world.objects()
    assert {"exported/policy.pt", "exported/policy.onnx", "exported/policy.json"} <= set(objects)
    assert "metrics.csv" in objects
    assert results_of(objects).attempts == 2


def test_a_training_that_lacks_its_export_is_given_to_the_simulator_once_more(world: World) -> None:
    world.run_here("log_nothing", variables=FIRST_OF_THREE)
    world.submit_again()

    assert world.run_here("export", variables=SECOND_JOB) == EXIT_FAILED

    assert "exported/policy.json" in world.objects()
    assert parse((world.directory / "simulation.json").read_bytes())["continue_from"].endswith("model_8.pt")
    # Nothing was trained, and so nothing logged.
    assert "no metrics" in world.outcome()["cause"]


def test_a_caller_that_tries_again_with_a_new_job_gets_what_the_old_one_trained(world: World) -> None:
    world.run_here("crash_half_way")
    assert world.outcome()["error"] == "SimulationError"
    world.submit_again()

    assert world.run_here("succeed", variables=SECOND_JOB) == EXIT_DONE

    objects = world.objects()
    assert [int(row["step"]) for row in rows_of(objects)] == list(range(9))
    assert results_of(objects).attempts == 2
    assert world.record.attempt == 1


class FakeBatch:
    """AWS Batch's answer about this job: the real one would have to run it."""

    def __init__(self, **job: Any) -> None:
        self._job = job

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        assert jobs == ["job-1"]
        return {"jobs": [self._job]}


NOW_MS = int(time.time() * 1000)


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"isTerminated": False, "timeout": {"attemptDurationSeconds": 28800}, "startedAt": NOW_MS}, 11),
        ({"isTerminated": True, "timeout": {"attemptDurationSeconds": 28800}, "startedAt": NOW_MS}, 10),
        ({"isTerminated": False, "timeout": {"attemptDurationSeconds": 60}, "startedAt": NOW_MS - 61_000}, 10),
    ],
    ids=["its machine is taken away", "somebody ended it", "its time is over"],
)
def test_a_job_that_is_told_to_stop_tells_its_caller_unless_it_goes_on(
    world: World, job: dict[str, Any], code: int
) -> None:
    stop = StopRequest()
    host = world.host(FIRST_OF_THREE, FakeBatch(**job))
    stop.request(InterruptedRunError("told to stop"))

    assert world.run_here("succeed", stop=stop, host=host) == code

    if code == EXIT_ATTEMPT_AGAIN:
        assert world.status(world.execution) == "RUNNING"
    else:
        assert world.outcome()["error"] == "InterruptedRunError"


def test_a_job_of_which_batch_tells_nothing_tells_its_caller(world: World) -> None:
    stop = StopRequest()
    stop.request(InterruptedRunError("told to stop"))

    assert world.run_here("succeed", stop=stop, variables=FIRST_OF_THREE) == EXIT_FAILED

    assert world.outcome()["error"] == "InterruptedRunError"


def test_an_attempt_waits_for_an_older_one_that_is_still_ending(world: World) -> None:
    job = world.start_job("hang_with_child_and_ignore_sigterm", **FIRST_OF_THREE)
    job.wait_for("Learning iteration 1/9")

    with pytest.raises(InterruptedRunError, match="another attempt"), locked(world.directory, StopRequest(), 0.1):
        pass

    os.kill(job.process.pid, signal.SIGKILL)
    job.process.wait()
    with locked(world.directory, StopRequest(), 10):
        pass
    os.killpg(int((world.directory / "group.pid").read_text()), signal.SIGKILL)


def test_a_disk_that_stays_full_ends_the_attempt_and_not_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is simulated, where other failures are told at once."""

    def refuse(directory: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(directory / "training-config.json"))

    monkeypatch.setattr(retrying_if, "__defaults__", (0.0,))
    with monkeypatch.context() as full:
        full.setattr(attempt_module, "write_config", refuse)
        assert world.run_here("succeed", variables=FIRST_OF_THREE) == EXIT_ATTEMPT_AGAIN
        assert world.run_here("succeed", variables=LAST_OF_THREE) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "StorageError"
    for part in ("training-config.json", "No space left on device", " free", "start it again"):
        assert part in outcome["cause"]
