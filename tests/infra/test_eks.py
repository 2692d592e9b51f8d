"""The EKS cluster's side of a deployment: what its agent is told, and roles for the agent and for pods."""

from __future__ import annotations

import json

import pytest

from gaitway.compute.eks.documents import documents
from gaitway.compute.eks.manifests import Eks, permission_manifests
from gaitway.contracts.cluster import AgentConfig, SubmitOrder
from gaitway.contracts.request import ComputeConfig
from gaitway.settings import SettingsError, load_settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import settings_of
from tests.infra.templates import ROOT, Synthesis


@pytest.fixture(scope="module")
def cluster(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("eks"))


def config_of(cluster: Synthesis) -> AgentConfig:
    parameter = cluster.resource("AWS::SSM::Parameter", "HyperpodEks/Config")
    return AgentConfig.read(cluster.text(parameter.stack, parameter.properties["Value"]))


def test_what_the_agent_is_told_is_enough_for_a_runs_manifest(cluster: Synthesis) -> None:
    config = config_of(cluster)
    settings = Eks.of(config).cluster
    assert (settings.team, settings.instance_type, settings.efa_interfaces) == ("robots", "ml.g6.12xlarge", 1)
    order = SubmitOrder(
        job_id=f"hyperpod-eks/run-{'0' * 20}-{'a' * 12}-1",
        run_id=f"run-{'0' * 20}",
        compute=ComputeConfig(backend="hyperpod-eks", num_nodes=2),
        timeout_seconds=3600,
    )
    text = "".join(documents(order, config).values())
    assert "hyperpod-ns-robots-localqueue" in text
    assert "<SimulationJob/RunAccess.Arn>" in text
    assert set(config.images) == {"isaaclab-3", "isaaclab-2"}
    # 4 KB: docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
    parameter = cluster.resource("AWS::SSM::Parameter", "HyperpodEks/Config")
    assert len(json.dumps(parameter.properties["Value"])) < 4096


def test_pods_get_their_roles_by_pod_identity(cluster: Synthesis) -> None:
    for role in ("HyperpodEks/Role", "HyperpodEks/Jobs"):
        [statement] = cluster.resource("AWS::IAM::Role", role).properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert set(statement["Action"]) == {"sts:AssumeRole", "sts:TagSession"}
    accounts = {
        one["metadata"]["name"]
        for one in permission_manifests(Eks.of(config_of(cluster)))
        if one["kind"] == "ServiceAccount"
    }
    assert accounts == {"gaitway-agent", "gaitway-runner"}


def test_a_pod_may_become_its_run_and_nothing_else(cluster: Synthesis) -> None:
    assert {grant.action for grant in cluster.allowed("HyperpodEks/Jobs")} == {"sts:AssumeRole"}


def test_the_agent_takes_orders_and_reports(cluster: Synthesis) -> None:
    actions = {grant.action for grant in cluster.allowed("HyperpodEks/Role")}
    assert actions >= {"sqs:ReceiveMessage", "events:PutEvents", "dynamodb:UpdateItem", "ssm:GetParameter"}
    # What the nodes say goes to the log group of jobs, where `gaitway logs` reads it.
    assert config_of(cluster).log_group is not None
    assert "logs:PutLogEvents" in actions
    assert {"sts:AssumeRole", "elasticfilesystem:ClientMount", "sqs:SendMessage"}.isdisjoint(actions)


@pytest.mark.parametrize("given", [{}, {"eksTeam": "robots"}, {"eksInstanceType": "ml.g6.12xlarge"}])
def test_a_deployment_with_a_cluster_says_where_its_jobs_go(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="but eksTeam or eksInstanceType is missing: name the team"):
        load_settings({"acceptNvidiaEula": "true", "backends": "batch,hyperpod-eks"} | given, ROOT)
