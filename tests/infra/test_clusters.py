"""A cluster's side of a deployment: nothing without the setting, and then as little as its agent and its jobs need."""

from __future__ import annotations

import json

import pytest

from gaitway.contracts.cluster import EVENT_SOURCE, EVENT_TYPE, AgentConfig
from gaitway.names import DEFAULT_NAMES
from tests.infra.conftest import Synthesise
from tests.infra.deployments import settings_of
from tests.infra.templates import Synthesis

BACKEND = "hyperpod-slurm"


@pytest.fixture(scope="module")
def slurm(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("slurm"))


def test_without_the_setting_there_is_nothing_of_a_cluster(aws: Synthesis) -> None:
    assert not [queue for queue in aws.resources("AWS::SQS::Queue") if "orders" in json.dumps(queue.properties)]
    assert not aws.resources("AWS::SSM::Parameter")
    assert "ClusterJobEnded" not in json.dumps([rule.name for rule in aws.resources("AWS::Events::Rule")])


def test_the_cluster_itself_is_not_made(slurm: Synthesis) -> None:
    assert not slurm.resources("AWS::SageMaker::Cluster")
    assert "GaitwayHyperpodSlurm" not in slurm.templates


def test_orders_come_in_turn_and_one_that_always_fails_is_kept(slurm: Synthesis) -> None:
    orders = slurm.resource("AWS::SQS::Queue", "HyperpodSlurm/Orders").properties
    assert orders["QueueName"] == DEFAULT_NAMES.orders(BACKEND)
    assert orders["FifoQueue"] is True
    assert orders["RedrivePolicy"]["maxReceiveCount"] * orders["VisibilityTimeout"] >= 20 * 60
    assert slurm.resource("AWS::SQS::Queue", "HyperpodSlurm/Refused").properties["FifoQueue"] is True


def test_the_agent_reads_its_configuration(slurm: Synthesis) -> None:
    parameter = slurm.resource("AWS::SSM::Parameter", "HyperpodSlurm/Config")
    assert parameter.properties["Name"] == DEFAULT_NAMES.agent_parameter(BACKEND)
    config = AgentConfig.read(slurm.text(parameter.stack, parameter.properties["Value"]))
    assert config.queue == DEFAULT_NAMES.orders(BACKEND)
    assert config.job_environment["GAITWAY_RUN_ACCESS_ROLE"] == "<SimulationJob/RunAccess.Arn>"
    assert config.sizes["1"].gpus == 1
    # 4 KB: docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
    assert len(json.dumps(parameter.properties["Value"])) < 4096


def test_the_nodes_may_do_what_the_agent_and_a_job_do(slurm: Synthesis) -> None:
    actions = {grant.action for grant in slurm.allowed("HyperpodSlurm/Role")}
    assert actions >= {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueUrl",
        "events:PutEvents",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "dynamodb:Query",
        "ssm:GetParameter",
        "sts:AssumeRole",
        "elasticfilesystem:ClientMount",
        "elasticfilesystem:ClientWrite",
    }
    assert "sqs:SendMessage" not in actions


@pytest.mark.parametrize("function", ["SubmitJob", "HandleFailure", "TellCaller", "Heartbeat"])
def test_who_submits_or_ends_jobs_may_give_orders(slurm: Synthesis, function: str) -> None:
    queue = f"arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:{DEFAULT_NAMES.orders(BACKEND)}"
    grants = {(grant.action, grant.resource) for grant in slurm.allowed(f"{function}/Role")}
    assert {("sqs:SendMessage", queue), ("sqs:GetQueueUrl", queue)} <= grants
    environment = slurm.resource("AWS::Lambda::Function", f"{function}/Function").properties["Environment"]["Variables"]
    assert json.loads(environment["GAITWAY_CLUSTER_ORDERS"]) == {BACKEND: DEFAULT_NAMES.orders(BACKEND)}


def test_the_end_of_a_job_reaches_its_function(slurm: Synthesis) -> None:
    rule = slurm.resource("AWS::Events::Rule", "Watchers/ClusterJobEnded")
    assert rule.properties["EventPattern"] == {
        "source": [EVENT_SOURCE],
        "detail-type": [EVENT_TYPE],
        "detail": {"state": ["succeeded", "failed"]},
    }


def test_a_request_may_ask_for_the_nodes_of_the_setting(slurm: Synthesis) -> None:
    environment = slurm.resource("AWS::Lambda::Function", "ConstructRun/Function").properties["Environment"]
    sizes = json.loads(environment["Variables"]["GAITWAY_FURTHER_BACKENDS"])[BACKEND]
    assert {size["max_nodes"] for size in sizes.values()} == {4}
