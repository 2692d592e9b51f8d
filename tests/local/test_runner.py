"""The whole job, against real S3, DynamoDB and Step Functions calls."""

from __future__ import annotations

import fcntl
import hashlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from gaitway.contracts.artifacts import LOCK_FILE, Manifest, Results, RunConfig
from gaitway.contracts.errors import CancelledError, Failure, InterruptedRunError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import CALLER_GONE, RunState
from gaitway.contracts.simulation import RanWith
from gaitway.runner.host.lock import locked
from gaitway.runner.reporting import heartbeat
from gaitway.runner.run import EXIT_DONE, EXIT_FAILED
from gaitway.runner.stop import StopRequest
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.local.runner_world import EVALUATION, TRAINING, World, files_holding, parse

TRAINED = {
    "checkpoints/model_0.pt",
    "checkpoints/model_2.pt",
    "checkpoints/model_4.pt",
    "gaitway_git_diff.txt",
    "params/agent.yaml",
    "metrics.csv",
    "training-config.json",
    "results.json",
    "report.html",
    "simulator.log",
    "manifest.json",
}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


@pytest.fixture
def world_without_bucket(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    yield world
    world.close()


@pytest.fixture
def no_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time for SubmitJob's retry, which does not come."""
    monkeypatch.setattr(heartbeat, "HANDOVER_SECONDS", 0.0)


def test_a_training_ends_its_task_with_results_that_the_manifest_lists_and_a_record_that_tells_how_far_it_is(
    world: World,
) -> None:
    world.submit()

    job = world.start_job("succeed")

    assert job.wait() == 0, job.output
    outcome = world.outcome()
    assert outcome["status"] == "SUCCEEDED"
    assert outcome["output"] == {"run_id": world.run_id, "manifest": str(world.output / "manifest.json"), "attempts": 1}
    objects = world.objects()
    assert set(objects) == TRAINED
    manifest = Manifest.model_validate_json(objects["manifest.json"])
    assert {entry.path: entry.sha256 for entry in manifest.files} == {
        name: hashlib.sha256(content).hexdigest() for name, content in objects.items() if name != "manifest.json"
    }
    results = Results.model_validate_json(objects["results.json"])
    assert results.status == "succeeded"
    assert results.training is not None
    assert results.training.final_checkpoint == "checkpoints/model_4.pt"
    assert results.training.mean_reward == 2.0
    ran_with = RanWith(simulator="scripted", device="none", versions={"scripts": "1.0"})
    assert results.ran_with == ran_with
    config = RunConfig.model_validate_json(objects["training-config.json"])
    assert config.training_config == TRAINING
    assert "torch" in config.versions
    record = world.record
    # It is the pipeline that ends the run, once it has checked the manifest.
    assert record.state is RunState.RUNNING
    assert (record.phase, record.attempt, record.job_id) == ("report", 1, "job-1")
    assert record.ran_with == ran_with
    assert record.started_at is not None
    assert record.progress is not None
    assert (record.progress.done, record.progress.total, record.progress.mean_reward) == (5, 5, 2.0)


def test_tokens_are_written_nowhere(world: World) -> None:
    world.submit()

    job = world.start_job("crash")
    job.wait()

    assert not any(token in job.output for token in world.tokens)
    assert files_holding(world.tokens, world.efs_root) == []
    assert not any(token.encode() in content for content in world.objects().values() for token in world.tokens)


def test_an_evaluation_gets_its_policy_and_leaves_its_metrics(world: World) -> None:
    policy = S3Uri(world.bucket, "assets/policies/model_4.pt")
    world.s3.put_object(Bucket=policy.bucket, Key=policy.key, Body=b"weights")
    world.submit(EVALUATION.model_copy(update={"record_video": True}), policy=policy)

    assert world.run_here("succeed") == EXIT_DONE

    assert (world.directory / "inputs" / "policy" / "model_4.pt").read_bytes() == b"weights"
    simulation = parse((world.directory / "simulation.json").read_bytes())
    assert simulation["inputs"] == {"policy": str(world.directory / "inputs" / "policy" / "model_4.pt")}
    objects = world.objects()
    assert set(objects) == {
        "metrics.csv",
        "videos/episode-0.mp4",
        "evaluation-config.json",
        "results.json",
        "report.html",
        "simulator.log",
        "manifest.json",
    }
    results = Results.model_validate_json(objects["results.json"])
    assert results.evaluation is not None
    assert results.evaluation.episodes == 3


def test_a_report_that_cannot_be_written_fails_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def render(*_: object) -> str:
        raise ZeroDivisionError("of no episodes")

    monkeypatch.setattr("gaitway.report.render", render)
    world.submit(EVALUATION)

    assert world.run_here("succeed") == EXIT_DONE

    objects = world.objects()
    assert {"results.json", "manifest.json"} <= set(objects)
    assert "report.html" not in objects
    (warning,) = Results.model_validate_json(objects["results.json"]).warnings
    assert warning.startswith("there is no report.html")
    manifest = Manifest.model_validate_json(objects["manifest.json"])
    assert {entry.path: entry.sha256 for entry in manifest.files}["results.json"] == hashlib.sha256(
        objects["results.json"]
    ).hexdigest()
    assert "ZeroDivisionError: of no episodes" in caplog.text


def test_an_evaluation_starts_from_nothing_after_a_failed_attempt(world: World) -> None:
    leftover = world.directory / "evaluation" / "videos" / "earlier.mp4"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    world.submit(EVALUATION)

    assert world.run_here("succeed") == EXIT_DONE

    assert not any(name.startswith("videos/") for name in world.objects())


@pytest.mark.parametrize(
    ("script", "error", "cause"),
    [
        ("crash", "SimulationError", "RuntimeError: CUDA error: out of memory"),
        ("exit_early", "SimulationError", "latest checkpoint is model_0.pt"),
        ("log_nothing", "SimulationError", "no metrics"),
        ("refuse", "RequestError", "trainingConfig.task is 'Isaac-Cartpole-v0', which is not registered"),
    ],
)
def test_a_simulation_that_falls_short_fails_the_task_with_the_reason(
    world: World, script: str, error: str, cause: str
) -> None:
    world.submit()

    assert world.run_here(script) == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["status"] == "FAILED"
    assert outcome["error"] == error
    assert cause in outcome["cause"]


@pytest.mark.parametrize("script", ["stay_after_the_work", "crash_at_shutdown"])
def test_a_simulator_that_ends_badly_after_its_work_is_judged_by_its_work(world: World, script: str) -> None:
    world.submit()

    assert world.run_here(script, variables={"GAITWAY_EXIT_ALLOWANCE_SECONDS": "0.2"}) == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"


def test_a_failed_run_leaves_its_log_and_its_checkpoints_but_no_manifest(world: World) -> None:
    world.submit()

    world.run_here("crash")

    objects = world.objects()
    assert {"checkpoints/model_0.pt", "simulator.log", "results.json", "report.html"} <= set(objects)
    assert "manifest.json" not in objects
    results = Results.model_validate_json(objects["results.json"])
    assert results.status == "failed"
    assert results.failure is not None
    assert results.failure.retryable
    assert world.record.phase == "judge"


def test_the_directory_is_the_runners_until_all_is_in_s3_and_the_caller_not_told_yet(world: World) -> None:
    world.submit()
    clients = world.clients()
    uploaded: list[str] = []

    def look(params: dict[str, str], **_: object) -> None:
        uploaded.append(params["url_path"].rpartition("/")[2])
        with (world.directory / LOCK_FILE).open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def told(**_: object) -> None:
        with (world.directory / LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        uploaded.append("told")

    clients.s3.meta.events.register("before-call.s3.PutObject", look)
    clients.stepfunctions.meta.events.register("before-call.sfn.SendTaskFailure", told)

    assert world.run_here("crash", clients=clients) == EXIT_FAILED

    assert uploaded[-2:] == ["report.html", "told"]


def test_an_input_that_is_not_there_fails_the_task_before_the_simulator_starts(world: World) -> None:
    world.submit(EVALUATION, policy=S3Uri(world.bucket, "nowhere/model_1.pt"))

    assert world.run_here("succeed") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "InputNotFoundError"
    assert f"the policy is s3://{world.bucket}/nowhere/model_1.pt" in outcome["cause"]
    assert not (world.directory / "simulator.log").exists()


def test_a_simulator_without_progress_is_ended_and_its_caller_told_where_it_stood(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "IDLE_ALLOWANCE_SECONDS", 1)
    world.submit()

    assert world.run_here("hang") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "StalledError"
    assert "after 2 of 5" in outcome["cause"]


def test_a_run_without_progress_gets_no_heartbeats(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "START_UP_ALLOWANCE_SECONDS", 0)
    world.submit(heartbeat_timeout_seconds=3)
    stop = StopRequest()
    with ThreadPoolExecutor() as threads, locked(world.directory, stop):
        job = threads.submit(world.run_here, "succeed", stop=stop)

        outcome = world.outcome()
        stop.request(CancelledError("as the pipeline does next"))

        assert job.result(30) == EXIT_FAILED
    assert outcome["error"].endswith("Timeout")


def test_checkpoints_and_progress_are_seen_while_training_goes_on(world: World) -> None:
    world.submit()
    job = world.start_job("hang")

    until(lambda: "checkpoints/model_0.pt" in world.objects())
    until(lambda: world.record.progress is not None and world.record.progress.done == 2)

    assert job.process.poll() is None
    assert world.record.phase == "simulate"


@pytest.mark.usefixtures("no_handover")
def test_a_run_that_nobody_waits_for_any_more_ends_itself(world: World) -> None:
    world.submit()
    with ThreadPoolExecutor() as threads:
        job = threads.submit(world.run_here, "hang")
        until(lambda: world.record.progress is not None)

        world.workflow.states.stop_execution(executionArn=world.execution)

        assert job.result(30) == EXIT_FAILED
    assert Results.model_validate_json(world.objects()["results.json"]).failure == Failure.of(
        CancelledError("nobody waits for this run any more: it was stopped or timed out")
    )


def test_a_run_whose_caller_stays_away_is_cancelled_and_the_inner_machine_told_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitway.runner.reporting.heartbeat.CALLER_GRACE_SECONDS", 1)
    world.submit()
    with ThreadPoolExecutor() as threads:
        job = threads.submit(world.run_here, "hang")
        until(lambda: world.record.progress is not None)

        world.workflow.states.stop_execution(executionArn=world.caller)

        assert job.result(30) == EXIT_FAILED
    outcome = world.outcome()
    assert (outcome["error"], outcome["cause"]) == ("CancelledError", CALLER_GONE)


def test_both_machines_get_heartbeats_for_as_long_as_the_run_goes_on_and_a_caller_that_tries_again_gets_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitway.runner.reporting.heartbeat.CALLER_GRACE_SECONDS", 1)
    world.submit(heartbeat_timeout_seconds=5)
    stop = StopRequest()
    with ThreadPoolExecutor() as threads:
        job = threads.submit(world.run_here, "hang", stop=stop)
        until(lambda: world.record.progress is not None)
        world.workflow.states.stop_execution(executionArn=world.caller)
        caller, token = world.start_execution(HeartbeatSeconds=5)
        world.give_token("external", token)

        # Its heartbeats alone keep both waiting: for longer than their timeout, and than the old caller's grace.
        with pytest.raises(TimeoutError):
            job.result(6)
        assert world.status(caller) == world.status(world.execution) == "RUNNING"
        stop.request(InterruptedRunError("the test ends it"))
        assert job.result(30) == EXIT_FAILED


@pytest.mark.usefixtures("no_handover")
def test_a_job_whose_run_went_to_another_execution_ends_itself_and_leaves_that_alone(world: World) -> None:
    world.submit()
    with ThreadPoolExecutor() as threads:
        job = threads.submit(world.run_here, "hang")
        until(lambda: world.record.progress is not None)

        execution, token = world.start_execution()
        world.table.update(world.run_id, execution_arn=execution, job_id=None, phase=None)
        world.give_token("inner", token)

        assert job.result(30) == EXIT_DONE
    assert world.status(execution) == "RUNNING"
    assert world.record.phase is None


def test_a_job_that_submit_jobs_retry_takes_over_goes_on(world: World) -> None:
    world.submit()
    clients = world.clients()
    asked = threading.Event()
    clients.stepfunctions.meta.events.register("before-send.sfn.SendTaskHeartbeat", lambda **_: asked.set())
    world.workflow.states.stop_execution(executionArn=world.execution)
    with ThreadPoolExecutor() as threads:
        job = threads.submit(world.run_here, "succeed", clients)
        asked.wait(10)

        execution, token = world.start_execution()
        world.give_token("inner", token)

        assert job.result(30) == EXIT_DONE
    assert world.workflow.ended(execution)["status"] == "SUCCEEDED"


def test_a_job_that_is_told_to_stop_tells_its_caller_at_once(world: World) -> None:
    world.submit()
    job = world.start_job("hang")
    job.wait_for("Learning iteration 1/5")

    job.process.send_signal(signal.SIGTERM)

    assert job.wait() == EXIT_FAILED
    outcome = world.outcome()
    assert outcome["error"] == "InterruptedRunError"
    assert Failure.reported(outcome["error"], outcome["cause"]).retryable
    assert "checkpoints/model_0.pt" in world.objects()


def test_a_job_that_is_ended_with_its_run_tells_the_cause_that_the_record_has(world: World) -> None:
    world.submit()
    job = world.start_job("hang")
    job.wait_for("Learning iteration 1/5")
    world.table.update(world.run_id, state=RunState.FAILED, failure=Failure.of(CancelledError("somebody stopped it")))

    job.process.send_signal(signal.SIGTERM)

    assert job.wait() == EXIT_FAILED
    results = Results.model_validate_json(world.objects()["results.json"])
    assert results.failure is not None
    assert (results.failure.error, results.failure.cause) == ("CancelledError", "somebody stopped it")


def test_an_attempt_at_a_run_that_has_ended_does_nothing(world: World) -> None:
    world.submit()
    world.table.update(world.run_id, state=RunState.FAILED)

    assert world.run_here("succeed") == EXIT_DONE

    assert not world.directory.exists()


def test_a_job_that_another_one_replaced_does_nothing(world: World) -> None:
    world.submit()
    world.table.update(world.run_id, job_id="job-2")

    assert world.run_here("succeed") == EXIT_DONE

    assert not world.directory.exists()


@pytest.mark.usefixtures("no_handover")
def test_an_attempt_at_a_run_that_nobody_waits_for_does_nothing(world: World) -> None:
    world.submit()
    world.workflow.states.stop_execution(executionArn=world.execution)

    assert world.run_here("succeed") == EXIT_DONE

    assert not world.directory.exists()


def test_an_outcome_that_cannot_be_reported_at_first_is_reported_later(world: World) -> None:
    world.submit()
    clients = world.clients()
    failures = iter([EndpointConnectionError(endpoint_url="states")])

    def fail_at_first(**_: object) -> None:
        for failure in failures:
            raise failure

    clients.stepfunctions.meta.events.register("before-send.sfn.SendTaskSuccess", fail_at_first)

    assert world.run_here("succeed", clients) == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"


def test_a_bucket_that_appears_late_is_waited_for(world_without_bucket: World) -> None:
    world = world_without_bucket
    world.submit()
    job = world.start_job("succeed")

    job.wait_for("trying again")
    world.create_bucket()

    assert job.wait() == EXIT_DONE
    assert set(world.objects()) == TRAINED


def test_the_record_says_where_a_simulation_is_shown_for_as_long_as_it_is_and_if_that_was_asked_for(
    world: World,
) -> None:
    world.submit(TRAINING.model_copy(update={"live_view": True}))
    # That of an attempt which was killed.
    world.table.update(world.run_id, live_view_port=4242)
    job = world.start_job("show_itself")
    until(lambda: world.record.live_view_port == 4711, 60)
    (world.directory / "looked-at").touch()
    assert job.wait() == 0, job.output
    assert world.record.live_view_port is None


def test_a_page_that_nobody_asked_for_is_not_shown(world: World) -> None:
    world.submit()
    job = world.start_job("show_itself")
    job.wait_for("Live view: port 4711")
    (world.directory / "looked-at").touch()
    assert job.wait() == 0, job.output
    assert world.record.live_view_port is None
