"""submit_job: a run has one living job, however often it is asked for."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gaitway.compute.batch import BatchSubmitter
from gaitway.compute.jobs import Submitter
from gaitway.compute.sizes import JobSize
from gaitway.compute.targets import Target, Targets
from gaitway.contracts.errors import RunRefusedError
from gaitway.contracts.pipeline import SubmitJobEvent
from gaitway.contracts.run import RunState
from lambdas.submit_job.logic import SubmitJob
from tests.local.conformance.workflow import until
from tests.local.control_plane.conftest import SharedClients
from tests.local.control_plane.world import SIZES, World

FIRST = "token-1"


class Queue:
    """A queue of the emulator, whose jobs live until their pipe is opened."""

    def __init__(self, batch: Any, directory: Path) -> None:
        self.batch = batch
        name = uuid.uuid4().hex[:8]
        batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={"type": "EC2", "maxvCpus": 4, "minvCpus": 0, "subnets": [], "instanceTypes": ["g6"]},
        )
        self.arn = batch.create_job_queue(
            jobQueueName=name, priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}]
        )["jobQueueArn"]
        container = {
            "image": "gaitway/shell:local",
            "command": ["sh", "-c", f"while [ ! -e {directory}/end ]; do sleep 0.05; done", "Ref::run_id"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}],
        }
        self.definition = name
        self._container = container
        self.define()
        batch.register_job_definition(
            jobDefinitionName=f"{name}-nodes",
            type="multinode",
            nodeProperties={
                "numNodes": 2,
                "mainNode": 0,
                "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
            },
        )
        self._end = directory / "end"
        self.targets = Targets(
            single_node=Target(dict.fromkeys((1, 4), self.arn), {"embedded": name}),
            multi_node=Target(dict.fromkeys((1, 4), self.arn), {"embedded": f"{name}-nodes"}),
            sizes=SIZES,
        )
        self.jobs = BatchSubmitter(batch, self.targets)

    def define(self) -> str:
        """Register the next revision of the job of one node; return its ARN."""
        return str(
            self.batch.register_job_definition(
                jobDefinitionName=self.definition, type="container", containerProperties=self._container
            )["jobDefinitionArn"]
        )

    def submitted(self) -> list[dict[str, Any]]:
        """Describe every job of the queue."""
        filters = [{"name": "BEFORE_CREATED_AT", "values": ["99999999999999"]}]
        ids = [job["jobId"] for job in self.batch.list_jobs(jobQueue=self.arn, filters=filters)["jobSummaryList"]]
        jobs: list[dict[str, Any]] = self.batch.describe_jobs(jobs=ids)["jobs"] if ids else []
        return jobs

    def end_all(self) -> None:
        """Let every job end, and wait for that."""
        self._end.touch()
        until(lambda: all(job["status"] in ("SUCCEEDED", "FAILED") for job in self.submitted()))
        self._end.unlink()


@pytest.fixture
def other_queue(shared_clients: SharedClients, tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(shared_clients.client("batch"), tmp_path)
    yield queue
    queue.end_all()


@pytest.fixture
def queue(shared_clients: SharedClients, tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(shared_clients.client("batch"), tmp_path)
    yield queue
    queue.end_all()


def submit(world: World, jobs: Submitter, token: str = FIRST) -> None:
    event = SubmitJobEvent(
        run_id=world.run_id,
        execution_arn=world.record.execution_arn or "",
        timeout_seconds=600,
        task_token=token,
    )
    SubmitJob(world.table, jobs).handle(event)


def test_the_job_is_given_the_runs_id_and_nothing_else(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    assert job["jobName"].startswith(f"{world.run_id}-")
    assert job["parameters"] == {"run_id": world.run_id}
    assert job["timeout"] == {"attemptDurationSeconds": 600}
    assert FIRST not in str(job)
    assert world.record.state is RunState.QUEUED
    assert world.record.job_id == job["jobId"]
    assert world.table.tokens(world.run_id).inner == FIRST


def test_a_job_is_what_an_update_has_made_of_it(world: World, queue: Queue) -> None:
    newest = queue.define()
    queue.batch.deregister_job_definition(jobDefinition=f"{queue.definition}:1")
    world.constructed()
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    assert job["jobDefinition"] == newest


def needs(container: dict[str, Any]) -> dict[str, str]:
    return {item["type"]: item["value"] for item in container["resourceRequirements"]}


def test_the_job_has_room_for_every_gpu_that_it_asks_for(world: World, queue: Queue) -> None:
    world.constructed(gpusPerNode=4)
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    assert needs(job["container"]) == {"GPU": "4", "VCPU": "2", "MEMORY": "512"}


@pytest.mark.parametrize(
    ("compute", "gpus"),
    [({}, 1), ({"gpusPerNode": 4}, 4), ({"numNodes": 2}, 1), ({"numNodes": 2, "gpusPerNode": 4}, 4)],
)
def test_a_job_waits_where_instances_have_as_many_gpus_as_it_needs(
    world: World, queue: Queue, other_queue: Queue, compute: dict[str, int], gpus: int
) -> None:
    queues = {1: queue.arn, 4: other_queue.arn}
    targets = replace(
        queue.targets,
        single_node=replace(queue.targets.single_node, queues=queues),
        multi_node=replace(queue.targets.multi_node, queues=queues),
    )
    jobs = BatchSubmitter(queue.batch, targets)
    world.constructed(**compute)
    submit(world, jobs)
    job_id = world.record.job_id
    assert [job["jobId"] for job in {1: queue, 4: other_queue}[gpus].submitted()] == [job_id]
    # One whose id was never written down is looked for in the same place.
    world.table.update(world.run_id, job_id=None)
    submit(world, jobs)
    assert world.record.job_id == job_id


def test_a_job_of_several_nodes_has_that_room_on_each(world: World, queue: Queue) -> None:
    world.constructed(numNodes=2, gpusPerNode=4)
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    nodes = queue.batch.describe_jobs(jobs=[f"{job['jobId']}#0", f"{job['jobId']}#1"])["jobs"]
    assert [needs(node["container"]) for node in nodes] == [{"GPU": "4", "VCPU": "2", "MEMORY": "512"}] * 2
    assert job["nodeProperties"]["numNodes"] == 2
    assert job["parameters"] == {"run_id": world.run_id}
    assert all(node["container"]["command"][-1] == world.run_id for node in nodes)


def test_a_job_without_gpus_asks_for_none(world: World, queue: Queue) -> None:
    sizes = {2: JobSize(gpus=0, vcpus=1, memory_mib=128, max_nodes=1, instance_gpus=4)}
    without = BatchSubmitter(queue.batch, replace(queue.targets, sizes=sizes))
    world.constructed(gpusPerNode=2)
    submit(world, without)
    (job,) = queue.submitted()
    assert needs(job["container"]) == {"VCPU": "1", "MEMORY": "128"}


def test_a_job_of_several_nodes_whose_id_was_never_written_down_is_found_again(world: World, queue: Queue) -> None:
    world.constructed(numNodes=2)
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    world.table.update(world.run_id, job_id=None)
    submit(world, queue.jobs)
    assert len(queue.submitted()) == 1
    assert world.record.job_id == job["jobId"]


def test_a_run_without_a_specification_gets_no_job(world: World, queue: Queue) -> None:
    world.launched()
    with pytest.raises(RunRefusedError, match="has no specification"):
        submit(world, queue.jobs)
    assert queue.submitted() == []


def test_the_same_call_again_submits_nothing(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    submit(world, queue.jobs)
    queue.end_all()
    submit(world, queue.jobs)
    assert len(queue.submitted()) == 1


def test_a_new_token_is_answered_by_the_job_that_lives(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    world.table.update(world.run_id, state=RunState.RUNNING)
    submit(world, queue.jobs, "token-2")
    assert len(queue.submitted()) == 1
    assert world.table.tokens(world.run_id).inner == "token-2"
    assert world.record.state is RunState.RUNNING


def test_a_new_token_gets_a_new_job_where_the_old_one_has_ended(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    first = world.record.job_id
    queue.end_all()
    submit(world, queue.jobs, "token-2")
    assert len(queue.submitted()) == 2
    assert world.record.job_id != first


def test_a_job_whose_id_was_never_written_down_is_found_again(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    (job,) = queue.submitted()
    world.table.update(world.run_id, job_id=None)
    submit(world, queue.jobs)
    assert len(queue.submitted()) == 1
    assert world.record.job_id == job["jobId"]


def test_the_job_of_an_execution_that_was_replaced_is_not_adopted(world: World, queue: Queue) -> None:
    world.constructed()
    submit(world, queue.jobs)
    world.table.update(world.run_id, execution_arn=f"{world.record.execution_arn}0", job_id=None)
    submit(world, queue.jobs, "token-2")
    assert len(queue.submitted()) == 2


def test_a_run_that_has_ended_gets_no_job(world: World, queue: Queue) -> None:
    world.constructed()
    world.table.update(world.run_id, state=RunState.FAILED)
    with pytest.raises(RunRefusedError):
        submit(world, queue.jobs)
    assert queue.submitted() == []
