"""A cluster's agent between the control plane and a scheduler: one job per run, whatever happens to the agent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gaitway.agent.agent import MISSING_SECONDS, Agent, ReportError
from gaitway.agent.scheduler import SchedulerError
from gaitway.aws.cluster_jobs import ClusterJobTable
from gaitway.aws.orders import Orders
from gaitway.compute.backends import AllJobs
from gaitway.compute.cluster import ClusterJobs
from gaitway.compute.cluster_job import read_event
from gaitway.compute.jobs import Job, JobRequest, JobState
from gaitway.contracts.cluster import EVENT_SOURCE, EVENT_TYPE, SubmitOrder
from gaitway.contracts.errors import PlatformError
from gaitway.contracts.pipeline import SubmitJobEvent
from gaitway.contracts.request import ComputeConfig
from lambdas.job_state.logic import JobState as JobStateFunction
from lambdas.submit_job.logic import SubmitJob
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.schedulers import BACKEND, AgentKilledError, MemoryScheduler
from tests.local.control_plane.world import World

COMPUTE = ComputeConfig()
NAME = "run-0123456789abcdef0123-0123456789ab"
RUN_ID = "run-0123456789abcdef0123"


@dataclass
class Events:
    """What an agent sends to EventBridge."""

    client: Any
    sent: list[Job] = field(default_factory=list)
    is_refusing: bool = False

    def put_events(self, **arguments: Any) -> Any:
        """Send an event, and keep the job that job_state reads from it."""
        if self.is_refusing:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
        for entry in arguments["Entries"]:
            assert (entry["Source"], entry["DetailType"]) == (EVENT_SOURCE, EVENT_TYPE)
            self.sent.append(read_event({"detail": json.loads(entry["Detail"])}))
        return self.client.put_events(**arguments)


@dataclass
class Cluster:
    """A cluster with its agent, and the control plane's side of it."""

    scheduler: MemoryScheduler
    table: ClusterJobTable
    orders: Orders
    events: Events
    now: float = 0.0

    def __post_init__(self) -> None:
        self.jobs = ClusterJobs(BACKEND, self.table, self.orders)
        self.restart_agent()

    def restart_agent(self) -> None:
        """Start another agent, which knows nothing of the one before."""
        self.agent = Agent(self.scheduler, self.table, self.orders, self.events, monotonic=lambda: self.now)  # type: ignore[arg-type]

    def turn(self) -> None:
        """Let the agent carry out what is ordered, and report."""
        self.agent.take_orders(0)
        self.agent.report_states()

    def job(self, job_id: str) -> Job:
        """Describe a job as the control plane sees it."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job


@pytest.fixture
def cluster(shared_clients: SharedClients, world: World) -> Iterator[Cluster]:
    sqs = shared_clients.client("sqs")
    # What an agent has received and not removed is received again at once.
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "0"}
    queue = f"orders-{uuid.uuid4().hex[:12]}.fifo"
    url = sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
    table = ClusterJobTable(shared_clients.client("dynamodb"), world.table_name)
    yield Cluster(MemoryScheduler(), table, Orders(sqs, queue), Events(shared_clients.client("events")))
    sqs.delete_queue(QueueUrl=url)


def submitted(cluster: Cluster) -> str:
    return cluster.jobs.submit(JobRequest(NAME, RUN_ID, COMPUTE, 600, task="Isaac-Ant-v0"))


def test_an_ordered_job_is_submitted_once_and_its_states_are_reported(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    assert cluster.job(job_id).state is JobState.WAITING
    cluster.turn()
    assert [order.job_id for order in cluster.scheduler.submitted] == [job_id]
    assert cluster.scheduler.submitted[0].timeout_seconds == 600
    cluster.scheduler.becomes(job_id, JobState.RUNNING)
    cluster.turn()
    assert cluster.job(job_id).state is JobState.RUNNING
    cluster.scheduler.becomes(job_id, JobState.FAILED, exit_code=11, attempts=3)
    cluster.turn()
    cluster.turn()
    assert [job.state for job in cluster.events.sent] == [JobState.WAITING, JobState.RUNNING, JobState.FAILED]
    ended = cluster.job(job_id)
    assert (ended.exit_code, ended.attempts, ended.service) == (11, 3, "the desk's cluster")
    assert ended == cluster.events.sent[-1]
    assert not list(cluster.jobs.living())


def test_a_repeated_submission_and_a_repeated_order_give_no_second_job(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    # The call that had ordered it was cut off.
    assert submitted(cluster) == job_id
    cluster.turn()
    assert cluster.jobs.find_living(NAME, COMPUTE) == job_id
    twice = SubmitOrder(job_id=job_id, run_id=RUN_ID, compute=COMPUTE, timeout_seconds=600)
    for again in range(2):
        send_again(cluster, twice, f"again-{again}")
        cluster.turn()
    cluster.scheduler.becomes(job_id, JobState.SUCCEEDED)
    cluster.turn()
    # Even when the scheduler has forgotten it.
    cluster.scheduler.jobs.clear()
    send_again(cluster, twice, "late")
    cluster.turn()
    assert len(cluster.scheduler.submitted) == 1


def send_again(cluster: Cluster, order: SubmitOrder, deduplication_id: str) -> None:
    """Deliver an order as SQS does when the five minutes of its deduplication are over."""
    cluster.orders._sqs.send_message(
        QueueUrl=cluster.orders._queue_url,
        MessageBody=order.model_dump_json(by_alias=True),
        MessageGroupId="again",
        MessageDeduplicationId=deduplication_id,
    )


def test_an_agent_killed_between_submission_and_record_is_followed_by_one_that_finds_the_job(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.scheduler.kills_the_agent = True
    with pytest.raises(AgentKilledError):
        cluster.turn()
    cluster.restart_agent()
    cluster.turn()
    assert [order.job_id for order in cluster.scheduler.submitted] == [job_id]
    assert cluster.jobs.find_living(NAME, COMPUTE) == job_id


def test_a_restarted_agent_reports_what_happened_meanwhile(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.turn()
    cluster.scheduler.becomes(job_id, JobState.FAILED, exit_code=137)
    cluster.restart_agent()
    cluster.turn()
    assert cluster.job(job_id).exit_code == 137
    cluster.restart_agent()
    cluster.turn()
    assert [job.state for job in cluster.events.sent] == [JobState.WAITING, JobState.FAILED]


def test_a_run_gets_another_job_when_its_first_one_has_ended(cluster: Cluster) -> None:
    first = submitted(cluster)
    cluster.turn()
    cluster.scheduler.becomes(first, JobState.FAILED)
    cluster.turn()
    assert cluster.jobs.find_living(NAME, COMPUTE) is None
    second = submitted(cluster)
    cluster.turn()
    assert [order.job_id for order in cluster.scheduler.submitted] == [first, second]
    assert [(job.id, job.name) for job in cluster.jobs.living()] == [(second, NAME)]


def test_a_stopped_job_has_the_reason_that_was_given(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.turn()
    AllJobs({BACKEND: cluster.jobs}).stop(job_id, "wrong robot")
    cluster.turn()
    stopped = cluster.job(job_id)
    assert (stopped.state, stopped.reason) == (JobState.FAILED, "wrong robot")
    cluster.jobs.stop(job_id, "too late")
    assert cluster.job(job_id).reason == "wrong robot"


def test_a_job_stopped_before_its_submission_never_runs(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.jobs.stop(job_id, "wrong robot")
    cluster.turn()
    cluster.turn()
    assert cluster.scheduler.submitted == []
    assert (cluster.job(job_id).state, cluster.job(job_id).reason) == (JobState.FAILED, "wrong robot")
    assert len(cluster.events.sent) == 1


def test_an_order_waits_for_a_scheduler_that_does_not_answer(cluster: Cluster) -> None:
    cluster.scheduler.is_down = True
    job_id = submitted(cluster)
    cluster.agent.take_orders(0)
    with pytest.raises(SchedulerError):
        cluster.agent.report_states()
    assert cluster.job(job_id).state is JobState.WAITING
    cluster.scheduler.is_down = False
    cluster.turn()
    assert len(cluster.scheduler.submitted) == 1


def test_a_job_that_the_scheduler_refuses_fails_with_its_reason(cluster: Cluster) -> None:
    cluster.scheduler.refuses = "invalid partition specified: gpu"
    job_id = submitted(cluster)
    cluster.turn()
    refused = cluster.job(job_id)
    assert refused.end is not None
    assert (refused.state, refused.end.error, refused.reason) == (
        JobState.FAILED,
        PlatformError,
        "invalid partition specified: gpu",
    )


def test_a_job_that_the_scheduler_has_lost_is_reported_after_a_while(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.turn()
    cluster.scheduler.jobs.clear()
    cluster.turn()
    cluster.now += MISSING_SECONDS - 1
    cluster.turn()
    assert not cluster.job(job_id).has_ended
    cluster.now += 2
    cluster.turn()
    assert cluster.job(job_id).has_ended


def test_a_state_that_eventbridge_does_not_take_is_reported_later(cluster: Cluster) -> None:
    job_id = submitted(cluster)
    cluster.turn()
    cluster.scheduler.becomes(job_id, JobState.SUCCEEDED)
    cluster.events.is_refusing = True
    with pytest.raises(ReportError):
        cluster.turn()
    assert not cluster.job(job_id).has_ended
    cluster.events.is_refusing = False
    cluster.turn()
    assert cluster.events.sent[-1].succeeded
    assert cluster.job(job_id).succeeded


def test_an_order_of_a_newer_version_stays_in_the_queue(cluster: Cluster) -> None:
    cluster.orders._sqs.send_message(
        QueueUrl=cluster.orders._queue_url,
        MessageBody='{"order": "suspend"}',
        MessageGroupId="newer",
        MessageDeduplicationId="newer",
    )
    cluster.turn()
    assert [message.text for message in cluster.orders.receive(0)] == ['{"order": "suspend"}']


def test_the_run_of_a_job_that_ended_without_a_report_is_failed_with_the_clusters_words(
    cluster: Cluster, world: World
) -> None:
    world.constructed()
    inner, token = world.caller()
    event = SubmitJobEvent(
        run_id=world.run_id, execution_arn=world.record.execution_arn or "", timeout_seconds=600, task_token=token
    )
    SubmitJob(world.table, cluster.jobs).handle(event)
    cluster.turn()
    job_id = world.record.job_id or ""
    cluster.scheduler.becomes(job_id, JobState.FAILED, exit_code=137, reason="NODE_FAIL")
    cluster.turn()
    jobs = AllJobs({BACKEND: cluster.jobs})
    function = JobStateFunction(world.table, world.task_tokens, jobs, world.stepfunctions, world.bucket)
    assert function.job_ended(cluster.events.sent[-1])
    told = world.workflow.ended(inner)
    assert told["error"] == "InterruptedRunError"
    assert "the desk's cluster said: NODE_FAIL" in told["cause"]
    # The job's item beside the record is in nobody's way.
    assert [run.run_id for run in world.table.list_in(world.record.state)] == [world.run_id]
