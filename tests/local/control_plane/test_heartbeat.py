"""heartbeat: who waits for a machine is kept alive, and whom nobody would end is ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from gaitway.aws.metrics import Metrics
from gaitway.compute.backends import jobs_of
from gaitway.compute.batch import BatchJobs
from gaitway.contracts.limits import CALLER_GRACE_SECONDS, QUIET_SECONDS
from gaitway.contracts.run import CALLER_GONE, RunState
from gaitway.names import DEFAULT_NAMES
from lambdas.heartbeat.logic import Heartbeat
from lambdas.heartbeat.orphans import Orphans
from tests.local.conformance.batch_world import BatchWorld, batch_world
from tests.local.conformance.workflow import until
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.world import Json, World

NAMESPACE = DEFAULT_NAMES.metrics_namespace

LATER = timedelta(seconds=QUIET_SECONDS + 1)


@pytest.fixture(scope="module")
def full(shared_clients: SharedClients) -> Iterator[BatchWorld]:
    """A queue that has no room."""
    with batch_world(shared_clients, f"full-{uuid.uuid4().hex[:8]}", vcpus=0) as queue:
        yield queue


@pytest.fixture(scope="module")
def queue(shared_clients: SharedClients) -> Iterator[BatchWorld]:
    """A queue that has room."""
    with batch_world(shared_clients, f"room-{uuid.uuid4().hex[:8]}", vcpus=4) as queue:
        yield queue


class Clock:
    """The time that the function sees."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeat(world: World, shared_clients: SharedClients, clock: Clock) -> Heartbeat:
    return function(world, shared_clients, clock)


def function(world: World, clients: SharedClients, clock: Clock, **replaced: object) -> Heartbeat:
    arguments: Json = {
        "runs": world.table,
        "task_tokens": world.task_tokens,
        "jobs": jobs_of(clients.client),
        "stepfunctions": world.stepfunctions,
        "lambda_": clients.client("lambda"),
        "metrics": Metrics(clients.client("cloudwatch"), NAMESPACE),
        "handle_failure": "nobody",
        "clock": clock,
    }
    return Heartbeat(**arguments | replaced)


def waiting(world: World, job_id: str | None, heartbeat_seconds: int = 60) -> tuple[str, str]:
    """Bring a run as far as its job; return its caller, and the execution that waits for the job."""
    caller = world.workflow.start(world.waiting(HeartbeatSeconds=heartbeat_seconds))
    world.launch.handle(world.event(world.workflow.next_token()))
    inner = world.workflow.start(world.waiting(HeartbeatSeconds=heartbeat_seconds))
    token = world.workflow.next_token()
    assert world.table.give_token(world.run_id, world.record.execution_arn or "", "inner", token)
    world.table.update(world.run_id, state=RunState.QUEUED, job_id=job_id)
    return caller, inner


def queued(full: BatchWorld) -> str:
    return full.submit(full.define(["true"]))


def test_a_run_that_waits_longer_than_its_heartbeats_timeout_stays_alive(
    world: World, full: BatchWorld, heartbeat: Heartbeat
) -> None:
    executions = waiting(world, queued(full), heartbeat_seconds=2)
    end = datetime.now(UTC) + timedelta(seconds=4)
    while datetime.now(UTC) < end:
        assert heartbeat.handle() == 1
    assert [world.is_waiting(execution) for execution in executions] == [True, True]
    # It is the heartbeats that kept them.
    assert {world.workflow.ended(execution)["error"] for execution in executions} == {"States.Timeout"}


def test_a_run_whose_job_runs_is_left_to_its_runner(world: World, queue: BatchWorld, heartbeat: Heartbeat) -> None:
    job_id = queue.submit(queue.define(["sleep", "60"]))
    queue.wait_for(job_id, "RUNNING")
    executions = waiting(world, job_id, heartbeat_seconds=2)
    heartbeat.handle()
    assert {world.workflow.ended(execution)["error"] for execution in executions} == {"States.Timeout"}
    queue.batch.terminate_job(jobId=job_id, reason="the test ends")


def test_a_job_that_vanished_is_told_once_its_record_is_quiet(world: World, heartbeat: Heartbeat, clock: Clock) -> None:
    _, inner = waiting(world, "00000000-no-such-job")
    heartbeat.handle()
    assert world.is_waiting(inner)
    clock.ahead = LATER
    heartbeat.handle()
    told = world.workflow.ended(inner)
    assert told["error"] == "InterruptedRunError"
    assert "does not know job 00000000-no-such-job any more" in told["cause"]


def test_a_job_whose_end_was_never_heard_of_is_told(
    world: World, queue: BatchWorld, heartbeat: Heartbeat, clock: Clock
) -> None:
    job_id = queue.run("exit 3")
    queue.wait_for_end(job_id)
    _, inner = waiting(world, job_id)
    heartbeat.handle()
    assert world.is_waiting(inner)
    clock.ahead = LATER
    heartbeat.handle()
    told = world.workflow.ended(inner)
    assert told["error"] == "InterruptedRunError"
    assert "exit code 3" in told["cause"]


def test_jobs_of_which_batch_says_nothing_are_not_taken_for_vanished(
    world: World, shared_clients: SharedClients, clock: Clock
) -> None:
    class Throttled:
        def describe_jobs(self, *, jobs: list[str]) -> Json:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "DescribeJobs")

        def __getattr__(self, name: str) -> object:
            return getattr(shared_clients.client("batch"), name)

    _, inner = waiting(world, "00000000-no-such-job")
    clock.ahead = LATER
    with pytest.raises(RuntimeError, match="1 of 1 runs"):
        function(world, shared_clients, clock, jobs=BatchJobs(Throttled())).handle()  # type: ignore[arg-type]
    assert world.is_waiting(inner)


def writing_to(told: Path, world: World) -> str:
    """Make a function in the place of handle_failure that writes down what it is called with."""
    return world.workflow.function(
        f"""
        import json, os, pathlib
        def handler(event, context):
            pathlib.Path({str(told)!r}).with_suffix(".part").write_text(json.dumps(event))
            os.rename({str(told.with_suffix(".part"))!r}, {str(told)!r})
        """
    )


def test_a_run_is_ended_at_the_next_look_where_handle_failure_was_not_called_for_weeks(
    world: World, shared_clients: SharedClients, clock: Clock, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    handle_failure = writing_to(told, world)
    heartbeat = function(world, shared_clients, clock, handle_failure=handle_failure)
    world.launched()
    world.stepfunctions.stop_execution(executionArn=world.record.execution_arn)
    clock.ahead = LATER
    world.workflow.rest(handle_failure, waking_seconds=1)
    assert heartbeat.handle() == 1
    shared_clients.client("lambda").get_waiter("function_active_v2").wait(FunctionName=handle_failure)
    assert not told.exists()
    assert heartbeat.handle() == 1
    until(told.exists)


@pytest.mark.parametrize("stage", ["constructing", "queued", "ended"])
def test_a_run_whose_execution_is_over_is_ended(
    world: World, full: BatchWorld, queue: BatchWorld, shared_clients: SharedClients, clock: Clock, tmp_path: Path,
    stage: str,
) -> None:  # fmt: skip
    told = tmp_path / "told"
    handle_failure = writing_to(told, world)
    heartbeat = function(world, shared_clients, clock, handle_failure=handle_failure)
    if stage == "constructing":
        world.launched()
    else:
        job_id = queued(full) if stage == "queued" else queue.run("true")
        if stage == "ended":
            queue.wait_for_end(job_id)
        _, inner = waiting(world, job_id)
        world.stop(inner)  # with its task
    clock.ahead = LATER
    execution_arn = world.record.execution_arn or ""
    heartbeat.handle()  # its execution is active, and so the function at work in it is left alone
    assert not told.exists()

    world.stepfunctions.stop_execution(executionArn=execution_arn, error="Mine", cause="my own words")
    heartbeat.handle()

    until(told.exists)
    assert json.loads(told.read_text()) == {
        "ended_execution": {
            "execution_arn": execution_arn,
            "status": "ABORTED",
            "error": "Mine",
            "cause": "my own words",
        }
    }


def test_a_caller_is_kept_waiting_while_the_steps_after_the_job_go_on(
    world: World, queue: BatchWorld, heartbeat: Heartbeat, clock: Clock
) -> None:
    job_id = queue.run("true")
    queue.wait_for_end(job_id)
    _, inner = waiting(world, job_id)
    world.stop(inner)  # its task was answered
    beats: list[str] = []
    world.stepfunctions.meta.events.register(
        "after-call.sfn.SendTaskHeartbeat", lambda parsed, **_: beats.append(parsed.get("Error", "received"))
    )
    clock.ahead = LATER
    heartbeat.handle()
    assert beats == ["received"]
    assert not world.record.state.ended


def test_a_caller_that_stays_away_cancels_a_queued_run(
    world: World, full: BatchWorld, heartbeat: Heartbeat, clock: Clock
) -> None:
    caller, inner = waiting(world, queued(full))
    world.stop(caller)
    heartbeat.handle()
    gone_at = world.record.caller_gone_at
    assert gone_at is not None
    clock.ahead = timedelta(seconds=CALLER_GRACE_SECONDS - 60)
    heartbeat.handle()
    assert world.record.caller_gone_at == gone_at
    assert world.is_waiting(inner)
    clock.ahead = timedelta(seconds=CALLER_GRACE_SECONDS + 1)
    heartbeat.handle()
    told = world.workflow.ended(inner)
    assert (told["error"], told["cause"]) == ("CancelledError", CALLER_GONE)


def test_a_caller_that_tries_again_keeps_its_run(
    world: World, full: BatchWorld, heartbeat: Heartbeat, clock: Clock
) -> None:
    caller, inner = waiting(world, queued(full))
    world.stop(caller)
    heartbeat.handle()
    again = world.launched()
    heartbeat.handle()
    assert world.record.caller_gone_at is None
    clock.ahead = timedelta(seconds=CALLER_GRACE_SECONDS + 1)
    heartbeat.handle()
    assert (world.is_waiting(again), world.is_waiting(inner)) == (True, True)


def test_a_run_that_cannot_be_looked_after_keeps_no_other_from_its_heartbeat(
    world: World, full: BatchWorld, heartbeat: Heartbeat, clock: Clock
) -> None:
    caller, _ = waiting(world, queued(full))
    broken = world.record.model_copy(update={"run_id": "broken", "execution_arn": "no-arn", "job_id": None})
    world.table.accept(broken, "nobody", instead_of=None)
    world.stop(caller)
    clock.ahead = LATER
    with pytest.raises(RuntimeError, match="1 of 2 runs could not be looked after"):
        heartbeat.handle()
    assert world.record.caller_gone_at is not None


@pytest.mark.parametrize("why", ["it ended", "it has another job", "another execution has it"])
def test_a_job_that_no_run_waits_for_is_ended(
    world: World, full: BatchWorld, shared_clients: SharedClients, clock: Clock, why: str
) -> None:
    definition = full.define(["true"])
    world.launched()
    name = (world.record.execution_arn or "").rpartition(":")[2]
    orphan = full.submit(definition, jobName=name)
    stranger = full.submit(definition, jobName="somebody-elses")
    match why:
        case "it ended":
            world.table.update(world.run_id, state=RunState.FAILED)
        case "it has another job":
            world.table.update(world.run_id, job_id=full.submit(definition, jobName=name))
        case _:
            world.table.update(world.run_id, execution_arn=f"{world.record.execution_arn}0")
    orphans = Orphans(world.table, jobs_of(shared_clients.client, {"batch": [full.job_queue]}), clock)
    assert orphans.end(frozenset()) == []
    clock.ahead = LATER
    assert orphans.end(frozenset({orphan})) == []
    assert orphans.end(frozenset()) == [orphan]

    assert full.describe(orphan)["status"] == "FAILED"
    assert "no run waits for this job" in full.describe(orphan)["statusReason"]
    assert full.describe(stranger)["status"] == "RUNNABLE"
    job_id = world.record.job_id
    assert job_id is None or full.describe(job_id)["status"] == "RUNNABLE"


def test_the_job_of_a_run_that_goes_on_is_left_alone(
    world: World, full: BatchWorld, shared_clients: SharedClients, clock: Clock
) -> None:
    world.launched()
    name = (world.record.execution_arn or "").rpartition(":")[2]
    job_id = full.submit(full.define(["true"]), jobName=name)
    clock.ahead = LATER
    orphans = Orphans(world.table, jobs_of(shared_clients.client, {"batch": [full.job_queue]}), clock)
    assert orphans.end(frozenset()) == []  # submit_job was cut off: it is called again, and finds the job by its name
    world.table.update(world.run_id, job_id=job_id)
    assert orphans.end(frozenset()) == []


def test_what_waits_is_published(
    world: World, full: BatchWorld, heartbeat: Heartbeat, clock: Clock, shared_clients: SharedClients
) -> None:
    waiting(world, queued(full))
    # An hour of its own, in which no other test publishes anything.
    clock.ahead = timedelta(days=365)
    heartbeat.handle()

    def published(name: str, **dimensions: str) -> float:
        points = shared_clients.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=clock() - timedelta(minutes=30),
            EndTime=clock() + timedelta(minutes=30),
            Period=3600,
            Statistics=["Maximum"],
        )["Datapoints"]
        return max(float(point["Maximum"]) for point in points)

    assert published("QueuedRuns") == 1
    assert published("OldestQueuedSeconds") == pytest.approx(timedelta(days=365).total_seconds(), abs=60)
    assert published("SilentSeconds") == 0
    assert published("Runs", State="queued") == 1
    assert published("Runs", State="running") == 0
