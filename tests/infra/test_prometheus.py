"""What the settings `prometheus` and `grafana` deploy."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml

from gaitway.contracts.eks import NAMESPACE_PREFIX
from gaitway.settings import SettingsError, load_settings
from stacks.prometheus.rules import rules
from stacks.prometheus.scraping import of_kubernetes
from tests.infra.conftest import Synthesise
from tests.infra.deployments import EKS_CLUSTER, ENVIRONMENT, settings_of
from tests.infra.templates import ROOT, Synthesis


def types_of(synthesis: Synthesis) -> set[str]:
    return {resource.type for resource in synthesis.resources()}


def refusal(**context: str) -> str:
    with pytest.raises(SettingsError) as error:
        load_settings({"simulators": "isaaclab-3"} | context, ROOT)
    return str(error.value)


def test_nothing_of_it_is_deployed_unless_it_is_asked_for(aws: Synthesis) -> None:
    assert not {type_ for type_ in types_of(aws) if type_.startswith(("AWS::APS::", "AWS::Grafana::"))}


def test_a_workspace_has_our_rules_and_sends_alerts_where_alarms_go(synthesise: Synthesise) -> None:
    deployed = synthesise(settings_of("prometheus"))
    namespace = deployed.resource("AWS::APS::RuleGroupsNamespace", "Rules")
    assert yaml.safe_load(namespace.properties["Data"]) == rules()
    workspace = deployed.resource("AWS::APS::Workspace", "Workspace").properties
    # Text with references in it is a document in a document.
    definition = yaml.safe_load(deployed.text("GaitwayPrometheus", workspace["AlertManagerDefinition"]))
    inner = yaml.safe_load(definition["alertmanager_config"])
    [receiver] = inner["receivers"]
    assert receiver["name"] == inner["route"]["receiver"]
    [sns] = receiver["sns_configs"]
    assert sns["topic_arn"] == "arn:<AWS::Partition>:sns:<AWS::Region>:<AWS::AccountId>:gaitway-alarms"
    assert sns["sigv4"] == {"region": "<AWS::Region>"}
    assert "AWS::APS::Scraper" not in types_of(deployed)
    assert "AWS::Grafana::Workspace" not in types_of(deployed)


def publishers(synthesis: Synthesis) -> dict[str, Any]:
    """Who may publish to the topic of alarms, and under which condition."""
    policy = synthesis.resource("AWS::SNS::TopicPolicy", "Monitoring/AlarmTopic/Topic/Policy").properties
    statements = policy["PolicyDocument"]["Statement"]
    return {
        one["Principal"]["Service"]: one["Condition"]["ArnLike"]["aws:SourceArn"]
        for one in statements
        if one["Effect"] == "Allow"
    }


def test_the_topic_takes_alerts_of_this_accounts_workspaces_only_where_there_is_one(
    aws: Synthesis, synthesise: Synthesise
) -> None:
    assert set(publishers(aws)) == {"cloudwatch.amazonaws.com"}
    deployed = synthesise(settings_of("prometheus"))
    arn = deployed.text("GaitwayPipeline", publishers(deployed)["aps.amazonaws.com"])
    assert arn == "arn:<AWS::Partition>:aps:<AWS::Region>:<AWS::AccountId>:workspace/*"


def test_grafana_may_query_this_workspace_and_nothing_else(synthesise: Synthesise) -> None:
    deployed = synthesise(settings_of("grafana"))
    grafana = deployed.resource("AWS::Grafana::Workspace", "Grafana").properties
    assert (grafana["Name"], grafana["DataSources"]) == ("gaitway", ["PROMETHEUS"])
    allowed = deployed.allowed("GrafanaRole")
    assert {one.resource for one in allowed} == {"<Workspace.Arn>"}
    assert all(one.action.startswith(("aps:Get", "aps:Query")) for one in allowed)


def test_a_slurm_cluster_writes_to_the_workspace_with_the_role_of_its_nodes(synthesise: Synthesise) -> None:
    deployed = synthesise(settings_of("prometheus"))
    policy = deployed.resource("AWS::IAM::Policy", "Write")
    [role] = policy.properties["Roles"]
    assert deployed.text(policy.stack, role) == "gaitway-slurm-agent-<AWS::Region>"
    [statement] = policy.properties["PolicyDocument"]["Statement"]
    assert (statement["Action"], deployed.text("GaitwayPrometheus", statement["Resource"])) == (
        "aps:RemoteWrite",
        "<Workspace.Arn>",
    )


def scraper(synthesis: Synthesis) -> dict[str, Any]:
    properties: dict[str, Any] = synthesis.resource("AWS::APS::Scraper", "Scraper").properties
    return properties


def test_the_pods_of_a_cluster_that_the_deployment_makes_are_scraped(synthesise: Synthesise) -> None:
    deployed = synthesise(settings_of("scraped"))
    made = scraper(deployed)
    told = json.loads(base64.b64decode(made["ScrapeConfiguration"]["ConfigurationBlob"]))
    team = settings_of("scraped").eks_team
    assert told == of_kubernetes(f"{NAMESPACE_PREFIX}{team}")
    source = made["Source"]["EksConfiguration"]
    assert deployed.text("GaitwayPrometheus", source["ClusterArn"]) == (
        "arn:<AWS::Partition>:eks:<AWS::Region>:<AWS::AccountId>:cluster/gaitway-eks"
    )
    assert len(source["SubnetIds"]) == 2
    assert len(source["SecurityGroupIds"]) == 1


def test_an_existing_cluster_is_scraped_within_its_own_group(
    synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    source = scraper(synthesise(settings_of("existing-eks").model_copy(update={"prometheus": True})))["Source"]
    assert source["EksConfiguration"]["ClusterArn"] == EKS_CLUSTER
    assert settings_of("existing-eks").eks_security_group_id in source["EksConfiguration"]["SecurityGroupIds"]


def test_what_cannot_work_is_refused() -> None:
    assert "only runs on hyperpod-eks and hyperpod-slurm offer metrics" in refusal(prometheus="true")
    assert "the embedded AWS" in refusal(
        backends="batch,hyperpod-slurm", prometheus="true", configFile="gaitway/local/config.json"
    )
    assert "prometheus is False" in refusal(backends="batch,hyperpod-slurm", grafana="true")
