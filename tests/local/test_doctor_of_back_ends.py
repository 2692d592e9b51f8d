"""What `gaitway doctor` says of the back ends beside AWS Batch's own; queues and parameter are the emulator's."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from gaitway.cli import doctor
from gaitway.cli.orders import look_at_orders
from gaitway.cli.target import Place, embedded_commands
from gaitway.contracts.cluster import AgentConfig, NodeSize
from gaitway.local.launcher import LocalSession
from gaitway.names import Names
from tests.local.emulator import Emulator

CLUSTER = "hyperpod-slurm"


class Orders:
    """A deployment's queue of orders with its dead-letter queue, and what its agent is told."""

    def __init__(self, emulator: Emulator) -> None:
        self.names = Names(f"d{uuid.uuid4().hex[:12]}")
        self.session = LocalSession(emulator.endpoint_url)
        untyped: Any = self.session
        self._sqs, ssm = untyped.client("sqs"), untyped.client("ssm")
        fifo = {"FifoQueue": "true"}
        self.dead = self._sqs.create_queue(QueueName=f"{self.names.deployment}-refused.fifo", Attributes=fifo)[
            "QueueUrl"
        ]
        arn = self._sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 20})
        name = self.names.orders(CLUSTER)
        self.queue = self._sqs.create_queue(QueueName=name, Attributes=fifo | {"RedrivePolicy": redrive})["QueueUrl"]
        config = AgentConfig(
            deployment=self.names.deployment,
            queue=name,
            run_table="runs",
            sizes={"1": NodeSize(gpus=1, vcpus=8, memory_mib=28_672)},
            job_environment={},
            efs_root="/mnt/gaitway",
            file_system="fs-0123456789abcdef0",
            access_point="fsap-0123456789abcdef0",
            mounts=(),
            job_attempts=3,
            command=("runner",),
        )
        ssm.put_parameter(Name=self.names.agent_parameter(CLUSTER), Value=config.model_dump_json(), Type="String")

    def send(self, url: str) -> None:
        """Put an order into a queue."""
        self._sqs.send_message(
            QueueUrl=url, MessageBody="{}", MessageGroupId="1", MessageDeduplicationId=uuid.uuid4().hex
        )

    def found(self) -> tuple[str, str]:
        [finding] = look_at_orders(self.session, self.names)
        assert finding.subject == "cluster"
        return finding.state, finding.detail


@pytest.fixture
def orders(emulator: Emulator) -> Orders:
    return Orders(emulator)


def test_an_agent_that_takes_its_orders_is_well(orders: Orders) -> None:
    assert orders.found() == ("ok", f"{CLUSTER}: no order waits for its agent")


def test_orders_that_wait_may_mean_that_the_agent_does_not_run(orders: Orders) -> None:
    orders.send(orders.queue)
    state, detail = orders.found()
    assert state == "note"
    assert detail.startswith(f"1 order of {CLUSTER} not taken by its agent")
    assert "start `gaitway agent` on the cluster" in detail


def test_orders_that_could_not_be_done_are_a_problem_that_names_their_queue(orders: Orders) -> None:
    for _ in range(2):
        orders.send(orders.dead)
    state, detail = orders.found()
    assert state == "problem"
    assert f"2 orders of {CLUSTER} could not be done" in detail
    assert "-refused.fifo" in detail


def test_a_deployment_without_clusters_has_no_such_line(emulator: Emulator) -> None:
    assert list(look_at_orders(LocalSession(emulator.endpoint_url), Names("nothing-here"))) == []


def test_the_queue_in_front_of_sagemaker_starts_jobs_while_its_service_environment_may(emulator: Emulator) -> None:
    names = Names(f"d{uuid.uuid4().hex[:12]}")
    place = Place("here", LocalSession(emulator.endpoint_url), embedded_commands(names))
    assert doctor._training_queues(place) == []
    batch = emulator.client("batch")
    environment = batch.create_service_environment(
        serviceEnvironmentName=names.training_environment,
        serviceEnvironmentType="SAGEMAKER_TRAINING",
        capacityLimits=[{"maxCapacity": 2, "capacityUnit": "NUM_INSTANCES"}],
    )["serviceEnvironmentArn"]
    policy = batch.create_scheduling_policy(name=names.training_queue, fairsharePolicy={"shareDecaySeconds": 60})["arn"]
    made = batch.create_job_queue(
        jobQueueName=names.training_queue,
        jobQueueType="SAGEMAKER_TRAINING",
        priority=1,
        schedulingPolicyArn=policy,
        serviceEnvironmentOrder=[{"order": 1, "serviceEnvironment": environment}],
    )["jobQueueArn"]
    [queue] = doctor._training_queues(place)
    assert queue == made
    assert doctor._job_queue(place, queue) == f"{names.training_queue} is enabled, in front of SageMaker"

    batch.update_service_environment(serviceEnvironment=environment, state="DISABLED")
    with pytest.raises(doctor._ProblemError, match=r"starts no training job: .* is DISABLED and VALID: fix that"):
        doctor._job_queue(place, queue)
