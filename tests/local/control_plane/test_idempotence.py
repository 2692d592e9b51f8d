"""Called twice, late, or many times at once, the functions start one execution and one job, and tell each caller once.

docs/idempotence.md says for each function why that is so.
"""

from __future__ import annotations

import ast
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from gaitway.aws.metrics import Metrics
from gaitway.compute.backends import jobs_of
from gaitway.compute.batch import BatchSubmitter
from gaitway.compute.jobs import Job, JobState, Submitter
from gaitway.compute.targets import Target, Targets
from gaitway.contracts.artifacts import METRICS, RESULTS
from gaitway.contracts.errors import Failure, InterruptedRunError, RunRefusedError, SimulationError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import CollectResultsEvent, ConstructRunEvent, SubmitJobEvent
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import ConstructedRun, JobResult, PipelineInput, RunExecution, RunState, to_json
from gaitway.contracts.vams_message import parse_message
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.ownership import Ownership
from gaitway.runner.reporting.answer import Reporter
from lambdas.collect_results.logic import CollectResults
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from lambdas.job_state.logic import JobState as JobStateFunction
from lambdas.submit_job.logic import SubmitJob
from tests.local.conformance.batch_world import BatchWorld, batch_world
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.failing import Failing
from tests.local.control_plane.world import BACKENDS, SIZES, World

T = TypeVar("T")

AT_ONCE = 6
REPOSITORY = Path(__file__).parents[3]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Make calls at the same moment, each from a thread of its own; return what each returned or raised."""
    start = threading.Barrier(len(calls))

    def call(one: Callable[[], T]) -> T | Exception:
        start.wait()
        try:
            return one()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


@pytest.fixture(scope="module")
def queue(shared_clients: SharedClients) -> Iterator[BatchWorld]:
    """A queue without room: its jobs wait, and no process is started."""
    with batch_world(shared_clients, f"idempotence-{uuid.uuid4().hex[:8]}", vcpus=0) as queue:
        yield queue
        for job in submitted(queue):
            queue.batch.cancel_job(jobId=job["jobId"], reason="the tests are over")


@pytest.fixture(scope="module")
def targets(queue: BatchWorld) -> Targets:
    definition = queue.define(["true", "Ref::run_id"])
    target = Target(dict.fromkeys((1, 4), queue.job_queue), {"embedded": definition})
    return Targets(single_node=target, multi_node=target, sizes=SIZES)


@pytest.fixture
def jobs(queue: BatchWorld, targets: Targets) -> Submitter:
    return BatchSubmitter(queue.batch, targets)


def submitted(queue: BatchWorld, world: World | None = None) -> list[dict[str, str]]:
    name = f"{world.run_id}*" if world else "*"
    found: list[dict[str, str]] = queue.batch.list_jobs(
        jobQueue=queue.job_queue, filters=[{"name": "JOB_NAME", "values": [name]}]
    )["jobSummaryList"]
    return found


def submission(world: World, token: str) -> SubmitJobEvent:
    return SubmitJobEvent(
        run_id=world.run_id, execution_arn=world.record.execution_arn or "", timeout_seconds=600, task_token=token
    )


def test_one_message_many_times_at_once_starts_one_execution(world: World) -> None:
    caller, token = world.caller()
    answers = at_once([lambda: world.launch.handle(world.event(token))] * AT_ONCE)
    (execution,) = world.executions()
    assert [answer["statusCode"] for answer in answers if isinstance(answer, dict)] == [200] * AT_ONCE
    assert world.record.execution_arn == execution
    assert world.is_waiting(caller)


def test_many_callers_of_one_run_at_once_share_one_execution(world: World) -> None:
    tokens = [world.caller()[1] for _ in range(AT_ONCE)]
    answers = at_once([lambda token=token: world.launch.handle(world.event(token)) for token in tokens])  # type: ignore[misc]
    assert [answer["statusCode"] for answer in answers if isinstance(answer, dict)] == [200] * AT_ONCE
    assert world.executions() == [world.record.execution_arn]
    assert world.table.tokens(world.run_id).external in tokens


def test_many_callers_of_a_run_that_failed_begin_it_anew_once(world: World) -> None:
    world.launched()
    failed = world.record.execution_arn or ""
    world.table.update(world.run_id, state=RunState.FAILED, failure=Failure.of(InterruptedRunError("reclaimed")))
    world.stop(failed)
    tokens = [world.caller()[1] for _ in range(AT_ONCE)]
    at_once([lambda token=token: world.launch.handle(world.event(token)) for token in tokens])  # type: ignore[misc]
    assert world.executions("RUNNING") == [world.record.execution_arn]
    assert len(world.executions()) == 2


def construct(world: World, execution_arn: str) -> ConstructedRun:
    started = PipelineInput(run_id=world.run_id, message=parse_message(world.event("unused")).message)
    event = ConstructRunEvent.model_validate(to_json(started) | {"execution_arn": execution_arn})
    return ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(event)


def test_constructing_a_run_again_gives_the_same_run(world: World) -> None:
    world.launched()
    execution = world.record.execution_arn or ""
    answers = at_once([lambda: construct(world, execution)] * AT_ONCE)
    assert answers == [answers[0]] * AT_ONCE
    spec = world.record.spec
    assert construct(world, execution) == answers[0]
    assert world.record.spec == spec


def test_constructing_a_run_that_has_ended_changes_nothing(world: World) -> None:
    world.launched()
    world.table.update(world.run_id, state=RunState.FAILED)
    with pytest.raises(RunRefusedError):
        construct(world, world.record.execution_arn or "")
    assert world.record.spec is None


def test_one_task_submitted_many_times_at_once_gets_one_job(world: World, queue: BatchWorld, jobs: Submitter) -> None:
    world.constructed()
    event = submission(world, "token")
    answers = at_once([lambda: SubmitJob(world.table, jobs).handle(event)] * AT_ONCE)
    (job,) = submitted(queue, world)
    assert answers == [None] * AT_ONCE
    assert world.record.job_id == job["jobId"]
    assert world.table.tokens(world.run_id).inner == "token"


def test_a_task_that_is_tried_again_while_its_first_call_is_at_work_gets_that_ones_job(
    world: World, queue: BatchWorld, jobs: Submitter
) -> None:
    world.constructed()
    events = [submission(world, f"token-{number}") for number in range(AT_ONCE)]
    at_once([lambda event=event: SubmitJob(world.table, jobs).handle(event) for event in events])  # type: ignore[misc]
    (job,) = submitted(queue, world)
    assert world.record.job_id == job["jobId"]
    assert world.table.tokens(world.run_id).inner in {event.task_token for event in events}


def test_a_job_that_has_ended_is_replaced_by_one_and_not_by_many(
    world: World, queue: BatchWorld, jobs: Submitter
) -> None:
    world.constructed()
    SubmitJob(world.table, jobs).handle(submission(world, "token"))
    ended = world.record.job_id
    queue.batch.cancel_job(jobId=ended, reason="the machine was taken away")
    events = [submission(world, f"token-{number}") for number in range(AT_ONCE)]
    at_once([lambda event=event: SubmitJob(world.table, jobs).handle(event) for event in events])  # type: ignore[misc]
    living = [job for job in submitted(queue, world) if job["status"] != "FAILED"]
    assert [job["jobId"] for job in living] == [world.record.job_id]
    assert world.record.job_id != ended


def test_a_call_that_was_cut_off_before_it_had_a_job_is_completed_by_a_later_one(
    world: World, queue: BatchWorld, jobs: Submitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.constructed()
    execution = world.record.execution_arn or ""
    assert world.table.claim_job(world.run_id, execution) is not None
    assert world.table.claim_job(world.run_id, execution) is None, "another call is at work, as far as anybody knows"
    monkeypatch.setattr("gaitway.aws.run_table.JOB_CLAIM_SECONDS", 0.5)
    SubmitJob(world.table, jobs).handle(submission(world, "token"))
    assert [job["jobId"] for job in submitted(queue, world)] == [world.record.job_id]


def test_a_call_that_took_too_long_submits_nothing_beside_the_one_that_took_over(
    world: World, queue: BatchWorld, targets: Targets, jobs: Submitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.constructed()
    event = submission(world, "token")

    class Slow(BatchSubmitter):
        """Takes so long to look for a job that another call takes over."""

        def find_living(self, name: str, compute: ComputeConfig) -> str | None:
            found = super().find_living(name, compute)
            with monkeypatch.context() as patch:
                patch.setattr("gaitway.aws.run_table.JOB_CLAIM_SECONDS", 0.0)
                SubmitJob(world.table, jobs).handle(event)
            return found

    SubmitJob(world.table, Slow(queue.batch, targets)).handle(event)
    assert [job["jobId"] for job in submitted(queue, world)] == [world.record.job_id]


FILES = {METRICS: b"step,reward\n1,2\n", RESULTS: b"{}"}


@pytest.mark.parametrize("first", ["collect", "fail"])
def test_a_success_and_a_failure_at_once_end_the_run_in_one_way_and_the_caller_receives_that_one(
    world: World, tmp_path: Path, first: str
) -> None:
    failing = Failing(world, tmp_path)
    caller = failing.running()
    execution, manifest = failing.execution, world.leave_outputs(FILES)

    def collect() -> None:
        job = {"run_id": world.run_id, "manifest": str(manifest)}
        event = CollectResultsEvent.model_validate({"run_id": world.run_id, "execution_arn": execution, "job": job})
        with suppress(RunRefusedError):
            metrics = Metrics(failing.cloudwatch, DEFAULT_NAMES.metrics_namespace)  # type: ignore[arg-type]
            CollectResults(world.table, world.task_tokens, world.s3, metrics).handle(event)

    def fail() -> None:
        failing.fail("States.Timeout", "")

    at_once([collect, fail] * 2 if first == "collect" else [fail, collect] * 2)
    told = world.workflow.ended(caller)
    assert told["status"] == ("SUCCEEDED" if world.record.state is RunState.SUCCEEDED else "FAILED")
    assert world.workflow.event_types(caller).count("TaskFailed") + (told["status"] == "SUCCEEDED") == 1
    # The function that ended the run has counted it.
    assert len([name for name, *_ in failing.cloudwatch.published if name in ("SucceededRuns", "FailedRuns")]) == 1


def test_the_runners_report_stands_whatever_is_reported_after_it(world: World, shared_clients: SharedClients) -> None:
    world.launched()
    inner, token = world.caller()
    execution = world.record.execution_arn or ""
    world.table.give_token(world.run_id, execution, "inner", token)
    world.table.update(world.run_id, state=RunState.RUNNING, job_id="job-1")
    reporter = Reporter(Ownership(world.run_id, execution, world.table), world.task_tokens)
    result = JobResult(run_id=world.run_id, manifest=S3Uri(world.bucket, "manifest.json"))
    ended = Job(id="job-1", name=RunExecution(execution).job_name, state=JobState.FAILED, service="AWS Batch")
    function = JobStateFunction(
        world.table, world.task_tokens, jobs_of(shared_clients.client), world.stepfunctions, world.bucket
    )

    reporter.succeed(result)
    reporter.succeed(result)
    reporter.fail(Failure.of(SimulationError("too late")))
    assert function.job_ended(ended) is False

    told = world.workflow.ended(inner)
    assert (told["status"], told["output"]) == ("SUCCEEDED", to_json(result))


def test_every_test_that_the_documentation_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (REPOSITORY / "docs" / "idempotence.md").read_text()))
    existing = {
        node.name
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert named
    assert named - existing == set()
