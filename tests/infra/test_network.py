"""The VPC: a new one, or one that exists."""

from __future__ import annotations

import pytest

from gaitway.settings import SettingsError, load_settings
from tests.infra.conftest import Synthesise
from tests.infra.templates import ROOT, Synthesis

EXISTING = {"acceptNvidiaEula": "true", "vpcId": "vpc-0123456789abcdef0"}


def test_traffic_is_logged(aws: Synthesis) -> None:
    flow_log = aws.resource("AWS::EC2::FlowLog").properties
    assert aws.text("GaitwayNetwork", flow_log["ResourceId"]) == f"<{aws.resource('AWS::EC2::VPC').name}>"
    assert flow_log["TrafficType"] == "ALL"


def test_storage_is_reached_past_the_nat_gateway(aws: Synthesis) -> None:
    endpoints = aws.resources("AWS::EC2::VPCEndpoint")
    services = {aws.text(endpoint.stack, endpoint.properties["ServiceName"]) for endpoint in endpoints}
    assert services == {"com.amazonaws.<AWS::Region>.s3", "com.amazonaws.<AWS::Region>.dynamodb"}


def test_no_instance_gets_a_public_address(aws: Synthesis) -> None:
    subnets = aws.resources("AWS::EC2::Subnet")
    assert [subnet.name for subnet in subnets if subnet.properties["MapPublicIpOnLaunch"]] == []


def test_nothing_is_let_in_from_outside(aws: Synthesis) -> None:
    assert [rule.name for rule in aws.resources("AWS::EC2::SecurityGroupIngress") if "CidrIp" in rule.properties] == []
    assert [
        group.name for group in aws.resources("AWS::EC2::SecurityGroup") if "SecurityGroupIngress" in group.properties
    ] == []


def test_an_existing_vpc_is_used_as_it_is(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "111122223333")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    existing = synthesise(load_settings(EXISTING, ROOT))
    made = {resource.type for resource in existing.resources() if resource.stack == "GaitwayNetwork"}
    assert made == {
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
    }
    for environment in existing.resources("AWS::Batch::ComputeEnvironment"):
        assert environment.properties["ComputeResources"]["Subnets"], environment.name


def test_an_existing_vpc_cannot_be_looked_up_nowhere(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDK_DEFAULT_ACCOUNT", raising=False)
    with pytest.raises(SettingsError, match="vpcId is 'vpc-0123456789abcdef0'"):
        synthesise(load_settings(EXISTING | {"maxVcpus": "32"}, ROOT))
