"""The VPC: a new one, or one that exists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gaitway.settings import SettingsError, load_settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import ENVIRONMENT, EXISTING_VPC, existing_vpc, new_app, subnet_id
from tests.infra.templates import ROOT, Synthesis

EXISTING = {"acceptNvidiaEula": "true", "vpcId": EXISTING_VPC}


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


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def synthesised(directory: Path, vpc: dict[str, Any], **settings: str) -> Synthesis:
    from stacks.assembly import assemble

    app = new_app(directory, vpc)
    assemble(app, load_settings(EXISTING | settings, ROOT))
    app.synth()
    return Synthesis(app, directory)


@pytest.mark.usefixtures("signed_in")
def test_an_existing_vpc_is_used_as_it_is(synthesise: Synthesise) -> None:
    existing = synthesise(load_settings(EXISTING, ROOT))
    made = {resource.type for resource in existing.resources() if resource.stack == "GaitwayNetwork"}
    assert made == {
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
    }
    for environment in existing.resources("AWS::Batch::ComputeEnvironment"):
        assert environment.properties["ComputeResources"]["Subnets"], environment.name


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("shape", "named", "compute", "one_zone", "mount_targets"),
    [
        # Isolated subnets in fewer zones than private ones.
        ({"private": "abc", "isolated": "b"}, (), "b0 b1 b2", "b0", {"a": "b0", "b": "c0", "c": "b2"}),
        # Several subnets of a kind in one zone.
        ({"private": "aab", "isolated": "aa"}, (), "b0 b1 b2", "b0 b1", {"a": "c0", "b": "b2"}),
        # Isolated subnets where no job runs.
        ({"public": "ab", "private": "a", "isolated": "bc"}, (), "b0", "b0", {"a": "b0"}),
        ({"private": "abcb", "isolated": "abc"}, (3, 0), "b3 b0", "b3", {"b": "c1", "a": "c0"}),
    ],
)
def test_jobs_and_functions_find_a_mount_target_in_their_zone(
    tmp_path: Path,
    shape: dict[str, str],
    named: tuple[int, ...],
    compute: str,
    one_zone: str,
    mount_targets: dict[str, str],
) -> None:
    settings = {"subnetIds": ",".join(subnet_id("private", number) for number in named)} if named else {}
    deployed = synthesised(tmp_path, existing_vpc(**shape), **settings)

    kinds = {"b": "private", "c": "isolated"}

    def ids(names: str) -> list[str]:
        return [subnet_id(kinds[name[0]], int(name[1:])) for name in names.split()]

    for environment in deployed.resources("AWS::Batch::ComputeEnvironment"):
        expected = one_zone if environment.name.startswith("MultiNode") else compute
        assert environment.properties["ComputeResources"]["Subnets"] == ids(expected), environment.name
    assert {target.properties["SubnetId"] for target in deployed.resources("AWS::EFS::MountTarget")} == set(
        ids(" ".join(mount_targets.values()))
    )
    for function in deployed.resources("AWS::Lambda::Function"):
        if "FileSystemConfigs" in function.properties:
            assert function.properties["VpcConfig"]["SubnetIds"] == ids(compute)


@pytest.mark.usefixtures("signed_in")
def test_a_zone_keeps_its_mount_target_when_others_come_and_go(tmp_path: Path) -> None:
    def by_zone(directory: str, *numbers: int) -> dict[str, str]:
        vpc = existing_vpc(private="abc")
        settings = {"subnetIds": ",".join(subnet_id("private", number) for number in numbers)}
        resources = synthesised(tmp_path / directory, vpc, **settings).templates["GaitwayStorage"]["Resources"]
        return {
            resource["Properties"]["SubnetId"]: logical_id
            for logical_id, resource in resources.items()
            if resource["Type"] == "AWS::EFS::MountTarget"
        }

    two, three = by_zone("two", 0, 2), by_zone("three", 2, 1, 0)
    assert len(set(three.values())) == 3
    assert two.items() <= three.items()


@pytest.mark.usefixtures("signed_in")
def test_what_has_not_been_looked_up_yet_is_no_mistake(tmp_path: Path) -> None:
    # The command line looks up what the first synthesis asks for, and synthesises again.
    synthesised(tmp_path, {}, subnetIds="subnet-0123456789abcdef0")


@pytest.mark.parametrize(
    "shape", [{"public": "ab"}, {"isolated": "a"}, {"public": "a", "isolated": "ab"}, {"private": ""}], ids=str
)
def test_a_vpc_that_is_of_no_use_is_refused_in_one_sentence(shape: dict[str, str]) -> None:
    context = EXISTING | existing_vpc(**shape)
    environment = os.environ | ENVIRONMENT | {"CDK_CONTEXT_JSON": json.dumps(context), "NODE_NO_WARNINGS": "1"}
    ended = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    [said] = [
        line for line in ended.stderr.splitlines() if "Traceback" in line or "Error" in line or "gaitway:" in line
    ]
    assert said.startswith(f"gaitway: vpcId is '{EXISTING_VPC}', which has ")
    assert "no private subnet" in said


def test_the_zones_of_a_new_vpc_can_be_chosen(synthesise: Synthesise) -> None:
    chosen = synthesise(load_settings({"acceptNvidiaEula": "true", "availabilityZones": "eu-west-1c,eu-west-1a"}, ROOT))
    zones = {subnet.name: subnet.properties["AvailabilityZone"] for subnet in chosen.resources("AWS::EC2::Subnet")}
    assert set(zones.values()) == {"eu-west-1c", "eu-west-1a"}
    [first] = {
        chosen.text(environment.stack, subnet)
        for environment in chosen.resources("AWS::Batch::ComputeEnvironment")
        if environment.name.startswith("MultiNode")
        for subnet in environment.properties["ComputeResources"]["Subnets"]
    }
    assert zones[first.strip("<>")] == "eu-west-1c"


def test_naming_the_zones_that_are_in_use_moves_nothing(aws: Synthesis, synthesise: Synthesise) -> None:
    named = synthesise(load_settings({"acceptNvidiaEula": "true", "availabilityZones": "eu-west-1c,eu-west-1a"}, ROOT))
    for stack, type_ in (("GaitwayNetwork", "AWS::EC2::Subnet"), ("GaitwayStorage", "AWS::EFS::MountTarget")):
        before, after = (
            {
                logical_id: resource["Properties"] | {"AvailabilityZone": None}
                for logical_id, resource in synthesis.templates[stack]["Resources"].items()
                if resource["Type"] == type_
            }
            for synthesis in (aws, named)
        )
        assert before == after


def test_an_existing_vpc_cannot_be_looked_up_nowhere(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDK_DEFAULT_ACCOUNT", raising=False)
    with pytest.raises(SettingsError, match="vpcId is 'vpc-0123456789abcdef0'"):
        synthesise(load_settings(EXISTING | {"maxVcpus": "32"}, ROOT))
