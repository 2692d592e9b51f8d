"""The functions know a back end by its port only: a run whose jobs are processes of this machine, beside AWS Batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gaitway.aws.metrics import Metrics
from gaitway.compute.backends import DEFAULT, AllJobs, jobs_of
from gaitway.compute.jobs import Job, Jobs, JobState
from gaitway.contracts.errors import PlatformError
from gaitway.contracts.limits import QUIET_SECONDS
from gaitway.contracts.pipeline import HandleFailureEvent, SubmitJobEvent
from gaitway.contracts.run import RunState
from gaitway.names import DEFAULT_NAMES
from lambdas.handle_failure.logic import HandleFailure
from lambdas.heartbeat.logic import Heartbeat
from lambdas.job_state.logic import JobState as JobStateFunction
from lambdas.submit_job.logic import SubmitJob
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.processes import BACKEND, ProcessJobs
from tests.local.control_plane.world import World

NAMESPACE = DEFAULT_NAMES.metrics_namespace


@pytest.fixture
def processes() -> Iterator[ProcessJobs]:
    jobs = ProcessJobs()
    yield jobs
    jobs.close()


@pytest.fixture
def jobs(processes: ProcessJobs, shared_clients: SharedClients) -> Jobs:
    return AllJobs({DEFAULT: jobs_of(shared_clients.client), BACKEND: processes})


def submitted(world: World, processes: ProcessJobs, token: str | None = None) -> str:
    """Submit the run's job for a task that waits; return the task's execution."""
    if world.table.get(world.run_id) is None:
        world.constructed()
    execution, new = world.caller()
    event = SubmitJobEvent(
        run_id=world.run_id,
        execution_arn=world.record.execution_arn or "",
        timeout_seconds=600,
        task_token=token or new,
    )
    SubmitJob(world.table, processes).handle(event)
    return execution


def job_of(world: World, jobs: Jobs) -> Job:
    job = jobs.get(world.record.job_id or "")
    assert job is not None
    return job


def heartbeat(
    world: World, clients: SharedClients, jobs: Jobs, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Heartbeat:
    return Heartbeat(
        world.table,
        world.task_tokens,
        jobs,
        world.stepfunctions,
        clients.client("lambda"),
        Metrics(clients.client("cloudwatch"), NAMESPACE),
        "nobody",
        clock,
    )


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=QUIET_SECONDS + 1)


def test_a_run_has_one_job_there_and_gets_another_one_when_that_has_ended(
    world: World, processes: ProcessJobs, jobs: Jobs
) -> None:
    submitted(world, processes)
    first = job_of(world, jobs)
    assert world.record.execution is not None
    assert (first.state, first.name) == (JobState.RUNNING, world.record.execution.job_name)
    submitted(world, processes, "token-2")
    assert job_of(world, jobs).id == first.id
    # Its id was never written down.
    world.table.update(world.run_id, job_id=None)
    submitted(world, processes, "token-3")
    assert job_of(world, jobs).id == first.id
    processes.kill(first.id)
    submitted(world, processes, "token-4")
    assert job_of(world, jobs).id != first.id


def test_a_run_that_fails_has_its_job_ended(
    world: World, processes: ProcessJobs, jobs: Jobs, shared_clients: SharedClients
) -> None:
    submitted(world, processes)
    handle_failure = HandleFailure(
        world.table,
        world.task_tokens,
        jobs,
        world.s3,
        Metrics(shared_clients.client("cloudwatch"), NAMESPACE),
        efs_root=None,
    )
    event = {"run_id": world.run_id, "execution_arn": world.record.execution_arn}
    event["error"] = {"Error": "SimulationError", "Cause": "the loss is NaN"}  # type: ignore[assignment]
    handle_failure.handle(HandleFailureEvent.model_validate(event), lambda: 60.0)
    ended = job_of(world, jobs)
    assert ended.state is JobState.FAILED
    assert ended.reason.startswith("SimulationError: the loss is NaN")
    assert world.record.state is RunState.FAILED


def test_an_event_of_a_killed_job_fails_the_task_that_waits_for_it(
    world: World, processes: ProcessJobs, jobs: Jobs
) -> None:
    inner = submitted(world, processes)
    killed = processes.kill(world.record.job_id or "")
    function = JobStateFunction(world.table, world.task_tokens, jobs, world.stepfunctions, world.bucket)
    assert function.job_ended(killed)
    assert not function.job_ended(killed)
    told = world.workflow.ended(inner)
    assert told["error"] == "InterruptedRunError"
    assert "exit code 137" in told["cause"]
    assert world.record.job_id in told["cause"]


@pytest.mark.parametrize(("ends", "error"), [("stopped", "CancelledError"), ("well", "InterruptedRunError")])
def test_the_heartbeat_finds_a_job_that_ended_without_an_event(
    world: World, processes: ProcessJobs, jobs: Jobs, shared_clients: SharedClients, ends: str, error: str
) -> None:
    processes.script = "exec sleep 60" if ends == "stopped" else "true"
    inner = submitted(world, processes)
    if ends == "stopped":
        jobs.stop(world.record.job_id or "", "wrong robot")
    processes.wait(world.record.job_id or "")
    heartbeat(world, shared_clients, jobs).handle()
    assert world.is_waiting(inner)
    heartbeat(world, shared_clients, jobs, later).handle()
    told = world.workflow.ended(inner)
    assert told["error"] == error
    assert ("this machine said: wrong robot" in told["cause"]) is (ends == "stopped")


def test_a_job_without_a_run_is_ended_there_too(
    world: World, processes: ProcessJobs, jobs: Jobs, shared_clients: SharedClients
) -> None:
    submitted(world, processes)
    orphan = world.record.job_id or ""
    world.table.update(world.run_id, state=RunState.FAILED)
    heartbeat(world, shared_clients, jobs).handle()
    assert not processes.get(orphan).has_ended  # type: ignore[union-attr]
    heartbeat(world, shared_clients, jobs, later).handle()
    assert processes.wait(orphan).reason.startswith("no run waits for this job")


def test_a_back_end_that_is_not_known_keeps_no_other_run_from_its_heartbeat(
    world: World, processes: ProcessJobs, shared_clients: SharedClients
) -> None:
    submitted(world, processes)
    batch_only = jobs_of(shared_clients.client)
    with pytest.raises(PlatformError, match="'processes', which this deployment does not know, allowed: batch"):
        batch_only.get(world.record.job_id or "")
    described = batch_only.describe([world.record.job_id or "", "00000000-no-such-job"])
    assert (set(described.jobs), set(described.unanswered)) == (set(), {world.record.job_id})
