"""handle_failure: what a failed run left on EFS gets to S3, and nothing of that keeps its caller waiting."""

from __future__ import annotations

import fcntl
import hashlib
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gaitway.contracts.artifacts import HISTORY, LOCK_FILE, MANIFEST, REPORT, RESULTS, ManifestEntry
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.history import AttemptHistory, Cost, RunHistory
from gaitway.contracts.run import RunState, output_prefix_of
from gaitway.outputs.checkpoint_log import CheckpointLog
from tests.local.conformance.workflow import until
from tests.local.control_plane.failing import LOG_DIRECTORY, Failing, checkpoint
from tests.local.control_plane.world import World
from tests.local.emulator import Emulator


@pytest.fixture
def failing(world: World, tmp_path: Path) -> Failing:
    return Failing(world, tmp_path)


@pytest.fixture
def s3(failing: Failing, emulator: Emulator) -> Any:
    """A client of the function's own, to disturb it."""
    failing.s3 = emulator.client("s3")
    return failing.s3


def count_writes(s3: Any) -> list[str]:
    written: list[str] = []
    s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: written.append(params["url_path"]))
    return written


def test_what_was_never_uploaded_is_in_s3_when_the_caller_is_told(world: World, failing: Failing) -> None:
    caller = failing.running()
    failing.leave(0, 2, 4)
    failing.write(f"{LOG_DIRECTORY}/events.out.tfevents.1.host", b"events")
    failing.write("simulator-node-1.log", b"of the other node")
    failing.fail("InterruptedRunError", "the job ended without a report")
    assert world.workflow.ended(caller)["error"] == "InterruptedRunError"
    objects = failing.objects()
    assert {f"checkpoints/model_{n}.pt": checkpoint(n) for n in (0, 2, 4)}.items() <= objects.items()
    assert objects["simulator.log"] == b"Learning iteration 3/5\n"
    assert objects["simulator-node-1.log"] == b"of the other node"
    assert objects["tensorboard/rsl_rl/cartpole/2026-11-20_12-00-00/events.out.tfevents.1.host"] == b"events"


def test_results_tell_the_cause_and_list_what_s3_holds_instead_of_a_manifest(world: World, failing: Failing) -> None:
    failing.running()
    failing.leave(4)
    gone = ManifestEntry(path="checkpoints/model_0.pt", size=1, sha256="0" * 64)
    CheckpointLog(failing.directory).note(gone, None)
    now = datetime.now(UTC)
    lost = AttemptHistory(number=1, began_at=now, last_seen_at=now, cost=Cost(usd=2.5, machine_seconds=60))
    history = RunHistory(accepted_at=now, attempts=[lost])
    failing.write(HISTORY, history.model_dump_json(by_alias=True).encode())
    failure = failing.fail()
    objects = failing.objects()
    assert MANIFEST not in objects
    results = failing.results()
    assert (results.status, results.failure, results.attempts) == ("failed", failure, 3)
    assert results.ended_at == world.record.ended_at
    assert (results.history, results.cost) == (history, lost.cost)
    assert results.files is not None
    listed = {entry.path: entry.sha256 for entry in results.files}
    del objects[RESULTS]
    assert listed == {gone.path: gone.sha256} | {
        name: hashlib.sha256(content).hexdigest() for name, content in objects.items()
    }


def test_a_run_whose_job_never_began_has_results_too(failing: Failing) -> None:
    failing.running()
    failing.fail("States.HeartbeatTimeout", "")
    objects = failing.objects()
    assert set(objects) == {REPORT, RESULTS}
    assert "States.HeartbeatTimeout" in objects[REPORT].decode()


def test_salvaging_again_writes_nothing(failing: Failing, s3: Any) -> None:
    failing.running()
    failing.leave(0, 2)
    failing.fail()
    written = count_writes(s3)
    failing.execution_ended("FAILED")
    failing.fail("States.Timeout", "")
    assert written == []


def test_a_checkpoint_that_is_torn_does_not_keep_the_others(failing: Failing) -> None:
    failing.running()
    failing.leave(0, 2)
    failing.write(f"{LOG_DIRECTORY}/model_4.pt", checkpoint(4)[:-7])
    failing.write("checkpoints.jsonl", b'\xff\xfe{"entry"')
    failing.fail()
    assert {name for name in failing.objects() if "model" in name} == {
        "checkpoints/model_0.pt",
        "checkpoints/model_2.pt",
    }


def test_a_file_that_vanishes_does_not_keep_the_others(failing: Failing, s3: Any) -> None:
    failing.running()
    failing.leave(0, 2)

    def vanish(**_: object) -> None:
        (failing.directory / LOG_DIRECTORY / "model_2.pt").unlink(missing_ok=True)

    s3.meta.events.register("before-call.s3.PutObject", vanish)
    failing.execution_ended("ABORTED")
    assert "checkpoints/model_0.pt" in failing.objects()


def test_a_file_that_cannot_be_read_does_not_keep_the_others(failing: Failing) -> None:
    failing.running()
    failing.leave(0)
    (failing.directory / "simulator-node-1.log").symlink_to(failing.directory, target_is_directory=True)
    failing.seconds_left = 11.0
    with pytest.raises(ArtifactError, match="not everything that run-"):
        failing.execution_ended("FAILED")
    assert "checkpoints/model_0.pt" in failing.objects()


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_an_s3_that_does_not_answer_keeps_nobody_waiting(world: World, failing: Failing, s3: Any, how: str) -> None:
    caller = failing.running()
    failing.leave(0)
    ended = threading.Event()

    def disturb(**_: object) -> None:
        if how == "hangs":
            ended.wait(30)
        raise EndpointConnectionError(endpoint_url="s3")

    s3.meta.events.register("before-send.s3.*", disturb)
    failing.times = {"salvage_seconds": 0.5, "runner_seconds": 0.1}
    failing.seconds_left = 11.0
    began = time.monotonic()
    failing.fail()
    assert time.monotonic() - began < 10
    ended.set()
    assert world.workflow.ended(caller)["error"] == "SimulationError"


def test_what_s3_refused_gets_there_with_the_next_call(failing: Failing, s3: Any) -> None:
    failing.running()
    failing.leave(0, 2)

    def refuse(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="s3")

    s3.meta.events.register("before-send.s3.*", refuse)
    failing.times = {"salvage_seconds": 0.2, "runner_seconds": 0.1}
    failing.seconds_left = 10.5
    failing.fail()
    assert failing.objects() == {}
    s3.meta.events.unregister("before-send.s3.*", refuse)
    failing.seconds_left = 60.0
    failing.execution_ended("FAILED")
    assert {"checkpoints/model_0.pt", "checkpoints/model_2.pt", RESULTS} <= set(failing.objects())


def test_what_a_runner_writes_while_it_ends_is_waited_for(failing: Failing) -> None:
    failing.running()
    failing.leave(0)
    locked, terminated = threading.Event(), threading.Event()

    def end_slowly() -> None:
        with (failing.directory / LOCK_FILE).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked.set()
            terminated.wait(10)
            until(lambda: "checkpoints/model_0.pt" in failing.objects())
            failing.leave(8)

    runner = threading.Thread(target=end_slowly)
    runner.start()
    locked.wait(10)
    failing.batch.terminate_job = lambda **_: terminated.set()  # type: ignore[method-assign]
    failing.fail()
    runner.join()
    assert {"checkpoints/model_0.pt", "checkpoints/model_8.pt"} <= set(failing.objects())


def test_a_runner_that_does_not_end_is_not_waited_for_for_ever(world: World, failing: Failing) -> None:
    caller = failing.running()
    failing.leave(0)
    failing.times = {"runner_seconds": 0.5}
    with (failing.directory / LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        failing.fail()
    until(lambda: not world.is_waiting(caller))
    assert "checkpoints/model_0.pt" in failing.objects()


def test_nothing_is_written_to_a_file_system_that_may_be_full(failing: Failing) -> None:
    failing.running()
    failing.leave(0)
    before = sorted((path, path.stat().st_mtime_ns) for path in failing.efs_root.rglob("*"))
    failing.fail()
    assert sorted((path, path.stat().st_mtime_ns) for path in failing.efs_root.rglob("*")) == before


def test_the_salvage_of_a_run_that_is_begun_anew_leaves_the_new_one_alone(
    world: World, failing: Failing, s3: Any
) -> None:
    failing.running()
    failing.leave(0, 2)
    launched = threading.Event()

    def launch(**_: object) -> None:
        if not launched.is_set():
            launched.set()
            world.launched()

    s3.meta.events.register("before-call.s3.PutObject", launch)
    failing.fail("InterruptedRunError", "lost")
    assert world.record.state is RunState.ACCEPTED
    assert not any(name.startswith("checkpoints/") for name in failing.objects())


def test_what_salvage_has_on_its_way_does_not_write_over_a_run_that_was_begun_anew_and_succeeded(
    world: World, failing: Failing, s3: Any
) -> None:
    failing.running()
    failing.leave(0)
    results = output_prefix_of(world.output_path) / RESULTS

    def begin_anew_and_succeed(params: Any, **_: object) -> None:
        if RESULTS in params["url_path"] and world.record.state is RunState.FAILED:
            world.launched()
            world.put(results.key, b"a success")
            world.table.update(world.run_id, state=RunState.SUCCEEDED)

    # After it was told that the run is still the one that failed.
    s3.meta.events.register("before-call.s3.PutObject", begin_anew_and_succeed)
    failing.fail("InterruptedRunError", "lost")

    assert world.record.state is RunState.SUCCEEDED
    assert failing.objects()[RESULTS] == b"a success"


@pytest.mark.parametrize(
    ("status", "fields", "error", "said"),
    [
        ("ABORTED", {}, "CancelledError", "somebody stopped the run's execution. What"),
        ("ABORTED", {"error": "Enough", "cause": "of it"}, "CancelledError", "saying 'Enough: of it'. What"),
        ("TIMED_OUT", {}, "States.Timeout", "did not end in the time"),
        (
            "FAILED",
            {"error": "SimulationError", "cause": '{"Error":"SimulationError","Cause":"the loss is NaN"}'},
            "SimulationError",
            "the loss is NaN\nWhat it left: ",
        ),
        (
            "FAILED",
            {"error": "Lambda.Unknown", "cause": "it died"},
            "Lambda.Unknown",
            "it died\nThis is an error of AWS",
        ),
    ],
)
def test_an_execution_that_ended_without_a_word_ends_its_run(
    world: World, failing: Failing, status: str, fields: dict[str, str], error: str, said: str
) -> None:
    caller = failing.running()
    failing.leave(0)
    failing.execution_ended(status, **fields)
    told = world.workflow.ended(caller)
    assert told["error"] == error
    assert said in told["cause"]
    assert failing.batch.ended == ["job-1"]
    assert world.record.state is RunState.FAILED
    assert {"checkpoints/model_0.pt", RESULTS} <= set(failing.objects())


def test_why_an_execution_was_stopped_is_asked_where_the_event_does_not_tell(world: World, failing: Failing) -> None:
    caller = failing.running()
    world.stepfunctions.stop_execution(executionArn=failing.execution, error="TooDear", cause="the budget is spent")
    failing.execution_ended("ABORTED")
    assert "saying 'TooDear: the budget is spent'" in world.workflow.ended(caller)["cause"]


def test_an_execution_of_nobody_ends_nothing(world: World, failing: Failing) -> None:
    caller = failing.running()
    failing.fail(execution_arn=f"{failing.execution[:-12]}ffffffffffff")
    assert world.is_waiting(caller)
    assert failing.objects() == {}


def test_a_success_is_left_as_it_is(world: World, failing: Failing) -> None:
    failing.running()
    failing.leave(0)
    world.table.update(world.run_id, state=RunState.SUCCEEDED)
    failing.execution_ended("TIMED_OUT")
    assert failing.batch.ended == []
    assert failing.objects() == {}
    assert world.record.failure is None


def test_the_caller_is_told_where_to_look(world: World, failing: Failing) -> None:
    failing.running()
    assert str(output_prefix_of(world.output_path)) in failing.fail().cause
