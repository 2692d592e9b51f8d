"""job_state: a run whose job or caller ended without a report is ended at once, and once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from gaitway.compute.backends import job_of_event, jobs_of
from gaitway.compute.batch_job import EVENT_TYPE
from gaitway.contracts.errors import Failure, InterruptedRunError
from gaitway.contracts.run import RunState, run_id_of, workflow_output_path
from lambdas.job_state.events import EndedCaller
from lambdas.job_state.logic import JobState
from tests.local.conformance.batch_world import BatchWorld, batch_world
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.world import Json, World


@pytest.fixture(scope="module")
def queue(shared_clients: SharedClients) -> Iterator[BatchWorld]:
    """A queue of the emulator."""
    with batch_world(shared_clients, f"job-state-{uuid.uuid4().hex[:8]}", vcpus=2) as queue:
        yield queue


@pytest.fixture
def job_state(world: World, shared_clients: SharedClients) -> JobState:
    return function(world, shared_clients)


def function(world: World, clients: SharedClients, **replaced: object) -> JobState:
    arguments: Json = {
        "runs": world.table,
        "task_tokens": world.task_tokens,
        "jobs": jobs_of(clients.client),
        "stepfunctions": world.stepfunctions,
        "asset_bucket": world.bucket,
    }
    return JobState(**arguments | replaced)


def waiting(world: World, job_id: str | None = "job-1") -> str:
    """Bring a run as far as its job; return the execution that waits for the job."""
    world.launched()
    execution, token = world.caller()
    execution_arn = world.record.execution_arn or ""
    assert world.table.give_token(world.run_id, execution_arn, "inner", token)
    world.table.update(world.run_id, state=RunState.QUEUED, job_id=job_id)
    return execution


def name(world: World) -> str:
    return (world.record.execution_arn or "").rpartition(":")[2]


def failed(world: World, **fields: object) -> Json:
    """Return the event that tells of a job of the run, whose machine was lost."""
    document = {"jobId": "job-1", "jobName": name(world), "status": "FAILED", "statusReason": "Host EC2 terminated."}
    return {"source": "aws.batch", "detail-type": EVENT_TYPE, "detail": document | fields}


def is_told(job_state: JobState, event: Json) -> bool:
    """Hand an event to the function, as its handler does."""
    job = job_of_event(event)
    return job is not None and job_state.job_ended(job)


def event(queue: BatchWorld, world: World, image: str, script: str = "true", **request: object) -> Json:
    """Run a job of the run to its end; return the event that tells of that."""
    definition = queue.define(["sh", "-c", script], image=image)
    job_id = queue.submit(definition, jobName=name(world), **request)
    world.table.update(world.run_id, job_id=job_id)
    queue.wait_for_end(job_id)
    return queue.events_of(job_id)[-1]


def test_a_job_whose_image_cannot_be_pulled_is_told_at_once_and_once(
    world: World, queue: BatchWorld, job_state: JobState
) -> None:
    inner = waiting(world)
    ended = event(queue, world, "nobody/has:this")

    assert is_told(job_state, ended)
    assert not is_told(job_state, ended)

    told = world.workflow.ended(inner)
    assert told["error"] == "PlatformError"
    assert "CannotPullContainerError: pull access denied for nobody/has:this" in told["cause"]
    assert "containerImageUri" in told["cause"]


def test_a_runner_that_is_killed_is_told_of_by_its_exit_code(
    world: World, queue: BatchWorld, job_state: JobState
) -> None:
    inner = waiting(world)
    ended = event(queue, world, "gaitway/shell:local", "kill -9 $$")
    assert is_told(job_state, ended)
    told = world.workflow.ended(inner)
    assert told["error"] == "InterruptedRunError"
    assert "exit code 137" in told["cause"]


def test_a_job_that_ends_well_without_a_word_is_told_of_as_well(
    world: World, queue: BatchWorld, job_state: JobState
) -> None:
    inner = waiting(world)
    assert is_told(job_state, event(queue, world, "gaitway/shell:local"))
    assert world.workflow.ended(inner)["error"] == "InterruptedRunError"


def test_who_ended_a_job_is_asked_for_where_the_event_does_not_tell(
    world: World, queue: BatchWorld, job_state: JobState
) -> None:
    inner = waiting(world)
    job_id = queue.submit(queue.define(["sleep", "60"]), jobName=name(world))
    world.table.update(world.run_id, job_id=job_id)
    queue.batch.terminate_job(jobId=job_id, reason="wrong robot")
    queue.wait_for_end(job_id)
    ended = queue.events_of(job_id)[-1]
    del ended["detail"]["isTerminated"]

    assert is_told(job_state, ended)

    told = world.workflow.ended(inner)
    assert told["error"] == "CancelledError"
    assert "AWS Batch said: wrong robot" in told["cause"]


def test_what_the_runner_has_told_stays_as_it_is(world: World, job_state: JobState) -> None:
    inner = waiting(world)
    token = world.table.tokens(world.run_id).inner or ""
    world.task_tokens.fail(token, Failure.of(InterruptedRunError("the runner's own words")))
    assert not is_told(job_state, failed(world))
    assert world.workflow.ended(inner)["cause"] == "the runner's own words"


@pytest.mark.parametrize(
    "other",
    [
        {"jobId": "job-0"},
        {"jobId": "job-1#0"},
        {"jobName": "somebody-elses"},
        {"jobName": "run-00000000000000000000-000000000000"},
        {"status": "RUNNABLE"},
    ],
    ids=["an older job", "a node", "another kind of job", "a run that nobody knows", "attempted again"],
)
def test_the_end_of_another_job_changes_nothing(world: World, job_state: JobState, other: Json) -> None:
    inner = waiting(world)
    assert not is_told(job_state, failed(world, **other))
    assert world.is_waiting(inner)


def test_the_job_of_an_execution_that_was_replaced_changes_nothing(world: World, job_state: JobState) -> None:
    waiting(world)
    late = failed(world)
    world.table.update(world.run_id, state=RunState.FAILED, failure=Failure.of(InterruptedRunError("lost")))
    inner = waiting(world, job_id=None)
    assert not is_told(job_state, late)
    assert world.is_waiting(inner)


def test_a_run_that_has_ended_is_left_alone(world: World, job_state: JobState) -> None:
    inner = waiting(world)
    world.table.update(world.run_id, state=RunState.FAILED)
    assert not is_told(job_state, failed(world))
    assert world.is_waiting(inner)


def test_a_job_that_ends_before_it_is_written_down_is_waited_for(world: World, shared_clients: SharedClients) -> None:
    inner = waiting(world, job_id=None)
    written: list[bool] = []

    def submit_job_goes_on(seconds: float) -> None:
        written.append(world.table.update(world.run_id, job_id="job-2" if len(written) else None))

    job_state = function(world, shared_clients, sleep=submit_job_goes_on)
    assert not is_told(job_state, failed(world))
    assert world.is_waiting(inner)
    assert is_told(job_state, failed(world, jobId="job-2"))
    assert world.workflow.ended(inner)["error"] == "InterruptedRunError"


def test_a_job_that_is_never_written_down_is_known_by_its_name(
    world: World, job_state: JobState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.job_state.logic._WRITTEN_SECONDS", 0)
    inner = waiting(world, job_id=None)
    assert is_told(job_state, failed(world))
    assert world.workflow.ended(inner)["error"] == "InterruptedRunError"


class Caller:
    """A run that an execution of our own workflow asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        name = uuid.uuid4().hex
        world.output_path = workflow_output_path(world.bucket, name)
        world.run_id = run_id_of(world.output_path)
        self.ended = EndedCaller(execution_name=name, status="ABORTED")


def test_a_caller_that_ends_cancels_its_run(world: World, job_state: JobState) -> None:
    caller = Caller(world)
    inner = waiting(world)
    assert job_state.caller_ended(caller.ended)
    assert not job_state.caller_ended(caller.ended)
    told = world.workflow.ended(inner)
    assert told["error"] == "CancelledError"
    assert f"{caller.ended.execution_name} ended (ABORTED)" in told["cause"]


def test_a_caller_that_ends_before_there_is_a_job_stops_the_execution(world: World, job_state: JobState) -> None:
    caller = Caller(world)
    world.launched()
    assert job_state.caller_ended(caller.ended)
    stopped = world.workflow.ended(world.record.execution_arn or "")
    assert (stopped["status"], stopped["error"]) == ("ABORTED", "CancelledError")
    job_state.caller_ended(caller.ended)
    assert world.describe(stopped["executionArn"])["stopDate"] == stopped["stopDate"]


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED])
def test_a_caller_that_ends_after_its_run_changes_nothing(world: World, job_state: JobState, state: RunState) -> None:
    caller = Caller(world)
    inner = waiting(world)
    world.table.update(world.run_id, state=state)
    assert not job_state.caller_ended(caller.ended)
    assert world.is_waiting(inner)


def test_a_caller_that_never_asked_for_a_run_is_no_error(job_state: JobState) -> None:
    assert not job_state.caller_ended(EndedCaller(execution_name="nobody", status="FAILED"))
