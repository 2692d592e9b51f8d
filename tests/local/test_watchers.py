"""Whatever ends a run from outside, through the deployed stacks: the caller is told, once, and no job is left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import psutil
import pytest

from gaitway.contracts.run import RunRecord, RunState
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json

LONG = {"inputParameters": {"trainingConfig": TINY | {"maxIterations": 100_000}}}


class Watched:
    """A run that our own workflow asked for."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.outer = plane.start(plane.deployment.workflow_arn, LONG)
        self._description = plane.describe(self.outer)

    @property
    def record(self) -> RunRecord:
        record = self._plane.record_of(self._description)
        assert record is not None
        return record

    def is_submitted(self) -> bool:
        """Tell whether its job is written down."""
        record = self._plane.record_of(self._description)
        return record is not None and record.job_id is not None

    def wait_until_submitted(self) -> None:
        until(self.is_submitted, RUN_SECONDS)

    def wait_until_training(self) -> None:
        until(lambda: self.is_submitted() and self.record.progress is not None, RUN_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Find the runner: its command line names the run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self.record.run_id in process.cmdline():
                    found.append(process)
        return found

    def told(self) -> Json:
        """Wait for the end of everything; return how the caller's execution ended."""
        execution = self._plane.ended(self.outer)
        assert self._plane.ended(self.record.execution_arn or "")["status"] in ("FAILED", "ABORTED")
        until(lambda: self.record.state is RunState.FAILED, RUN_SECONDS)
        jobs = self._plane.jobs_of(self.record.run_id)
        assert len(jobs) == 1
        until(lambda: self._plane.jobs_of(self.record.run_id)[0]["status"] == "FAILED", RUN_SECONDS)
        until(lambda: not self.processes(), RUN_SECONDS)
        return execution

    def told_by_its_run(self) -> Json:
        """Wait as before, of a caller that waited for the run to the end."""
        execution = self.told()
        failures = self._plane.events(self.outer, "TaskFailed")
        assert [failure["taskFailedEventDetails"]["error"] for failure in failures] == [execution["error"]]
        failure = self.record.failure
        assert failure is not None
        assert (failure.error, failure.cause) == (execution["error"], execution["cause"])
        return execution


@pytest.fixture
def full(plane: ControlPlane) -> Iterator[None]:
    """Nothing starts while a test goes on."""
    (queue,) = plane.batch.describe_job_queues(jobQueues=[plane.deployment.job_queue_arn])["jobQueues"]
    names = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]
    for name in names:
        plane.batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    yield
    for name in names:
        plane.batch.update_compute_environment(computeEnvironment=name, state="ENABLED")


def invoke(plane: ControlPlane, function: str, event: Json) -> Json:
    answer = plane.lambda_.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    payload: Json = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


@pytest.mark.usefixtures("full")
def test_a_job_that_waits_is_counted_and_kept_alive_until_somebody_cancels_it(plane: ControlPlane) -> None:
    run = Watched(plane)
    run.wait_until_submitted()
    assert invoke(plane, "gaitway-heartbeat", {})["runs"] >= 1
    assert run.record.caller_gone_at is None

    plane.batch.terminate_job(jobId=run.record.job_id, reason="the robot is not ready")

    execution = run.told_by_its_run()
    assert execution["error"] == "CancelledError"
    assert "AWS Batch said: the robot is not ready" in execution["cause"]


def test_a_container_that_cannot_start_is_told_at_once(plane: ControlPlane) -> None:
    plane.logs.delete_log_group(logGroupName="/gaitway/job")
    try:
        execution = Watched(plane).told_by_its_run()
    finally:
        plane.logs.create_log_group(logGroupName="/gaitway/job")
    assert execution["error"] == "PlatformError"
    assert "CannotStartContainerError" in execution["cause"]
    assert "after 3 attempts" in execution["cause"]


def test_a_runner_that_is_killed_in_its_last_attempt_is_told_of(plane: ControlPlane) -> None:
    run = Watched(plane)
    run.wait_until_submitted()
    killed: set[int] = set()

    def kill() -> bool:
        for process in run.processes():
            if process.pid not in killed:
                killed.add(process.pid)
                process.kill()
        return len(killed) >= 3

    until(kill, RUN_SECONDS)
    execution = run.told_by_its_run()
    assert execution["error"] == "InterruptedRunError"
    assert "exit code 137" in execution["cause"]


@pytest.mark.slow
def test_an_execution_that_somebody_stops_tells_the_caller_and_ends_the_job(plane: ControlPlane) -> None:
    run = Watched(plane)
    run.wait_until_training()
    plane.stepfunctions.stop_execution(executionArn=run.record.execution_arn, error="Mine", cause="not this one")
    execution = run.told_by_its_run()
    assert execution["error"] == "CancelledError"
    assert "not this one" in execution["cause"]


@pytest.mark.usefixtures("full")
def test_a_caller_that_somebody_stops_cancels_its_run(plane: ControlPlane) -> None:
    run = Watched(plane)
    run.wait_until_submitted()
    plane.stepfunctions.stop_execution(executionArn=run.outer)
    assert run.told()["status"] == "ABORTED"
    assert run.record.failure is not None
    assert run.record.failure.error == "CancelledError"
    assert plane.describe(run.record.execution_arn or "")["error"] == "CancelledError"
