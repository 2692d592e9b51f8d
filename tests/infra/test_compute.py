"""Where jobs run, and what they are."""

from __future__ import annotations

from typing import Any

import pytest

from gaitway.settings import INSTANCE_SIZES, load_settings
from tests.infra.conftest import Synthesise
from tests.infra.templates import ROOT, Synthesis


@pytest.fixture(scope="session")
def environment(aws: Synthesis) -> dict[str, Any]:
    compute: dict[str, Any] = aws.resource("AWS::Batch::ComputeEnvironment").properties
    return compute


@pytest.fixture(scope="session")
def container(aws: Synthesis) -> dict[str, Any]:
    properties: dict[str, Any] = aws.resource("AWS::Batch::JobDefinition").properties["ContainerProperties"]
    return properties


def requirements(container: dict[str, Any]) -> dict[str, int]:
    return {item["Type"]: int(item["Value"]) for item in container["ResourceRequirements"]}


def test_every_instance_type_has_a_gpu(environment: dict[str, Any]) -> None:
    types = environment["ComputeResources"]["InstanceTypes"]
    assert types
    assert [name for name in types if name not in INSTANCE_SIZES or INSTANCE_SIZES[name].gpus == 0] == []


def test_a_job_fits_the_smallest_instance_with_room_for_the_system(
    environment: dict[str, Any], container: dict[str, Any]
) -> None:
    sizes = [INSTANCE_SIZES[name] for name in environment["ComputeResources"]["InstanceTypes"]]
    asked = requirements(container)
    assert asked["MEMORY"] <= min(size.memory_gib for size in sizes) * 1024 - 2048
    assert asked["VCPU"] <= min(size.vcpus for size in sizes)
    assert asked["GPU"] == 1


def test_instances_are_bought_on_demand_with_the_images_that_hold_nvidias_driver(environment: dict[str, Any]) -> None:
    resources = environment["ComputeResources"]
    assert (resources["Type"], resources["AllocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")
    assert resources["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]


def test_the_cluster_has_container_insights(environment: dict[str, Any]) -> None:
    assert environment["EcsSettings"] == {"ContainerInsights": "ENHANCED"}


def test_instances_stand_behind_nat(aws: Synthesis, environment: dict[str, Any]) -> None:
    private = {
        f"<{subnet.name.removesuffix('/Subnet')}/Subnet>"
        for subnet in aws.resources("AWS::EC2::Subnet")
        if {"Key": "aws-cdk:subnet-type", "Value": "Private"} in subnet.properties["Tags"]
    }
    subnets = environment["ComputeResources"]["Subnets"]
    assert {aws.text("GaitwayCompute", subnet) for subnet in subnets} == private


def test_the_root_volume_holds_isaac_sim_encrypted(aws: Synthesis) -> None:
    template = aws.resource("AWS::EC2::LaunchTemplate").properties["LaunchTemplateData"]
    (device,) = template["BlockDeviceMappings"]
    assert (device["Ebs"]["VolumeSize"], device["Ebs"]["VolumeType"]) == (100, "gp3")
    assert device["Ebs"]["Encrypted"]
    assert template["MetadataOptions"]["HttpTokens"] == "required"


def test_no_instance_waits_for_work_unless_it_is_kept_warm(environment: dict[str, Any], synthesise: Synthesise) -> None:
    warm = synthesise(load_settings({"acceptNvidiaEula": "true", "keepWarmInstance": "true"}, ROOT))
    kept = warm.resource("AWS::Batch::ComputeEnvironment").properties["ComputeResources"]["MinvCpus"]
    assert (environment["ComputeResources"]["MinvCpus"], kept) == (0, 8)


def test_a_job_that_fits_nowhere_is_cancelled(aws: Synthesis) -> None:
    actions = aws.resource("AWS::Batch::JobQueue").properties["JobStateTimeLimitActions"]
    assert {(action["Reason"], action["State"], action["Action"]) for action in actions} == {
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "RUNNABLE", "CANCEL"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "RUNNABLE", "CANCEL"),
    }


def test_a_job_is_given_its_runs_id_and_no_more(aws: Synthesis, container: dict[str, Any]) -> None:
    assert container["Command"] == ["Ref::run_id"]
    assert {item["Name"]: aws.text("GaitwayCompute", item["Value"]) for item in container["Environment"]} == {
        "AWS_REGION": "<AWS::Region>",
        "GAITWAY_EFS_ROOT": container["MountPoints"][0]["ContainerPath"],
        "GAITWAY_HEARTBEAT_SECONDS": "300",
        "GAITWAY_RUN_TABLE": "<RunTable/Runs>",
    }


def test_a_job_enters_the_file_system_by_the_access_point_in_its_own_role(container: dict[str, Any]) -> None:
    (volume,) = container["Volumes"]
    mount = volume["EfsVolumeConfiguration"]
    assert mount["TransitEncryption"] == "ENABLED"
    assert mount["AuthorizationConfig"]["Iam"] == "ENABLED"
    assert mount["AuthorizationConfig"]["AccessPointId"]
    assert mount["RootDirectory"] == "/"


def test_a_job_is_tried_once_and_not_for_ever(aws: Synthesis) -> None:
    definition = aws.resource("AWS::Batch::JobDefinition").properties
    assert definition["RetryStrategy"] == {"Attempts": 1}
    assert definition["Timeout"] == {"AttemptDurationSeconds": 28800}


def test_the_image_is_the_accounts_own_unless_one_is_given(aws: Synthesis, embedded: Synthesis) -> None:
    images = [
        synthesis.text(
            "GaitwayCompute", synthesis.resource("AWS::Batch::JobDefinition").properties["ContainerProperties"]["Image"]
        )
        for synthesis in (aws, embedded)
    ]
    assert images == ["<AWS::AccountId>.dkr.ecr.<AWS::Region>.<AWS::URLSuffix>/gaitway:0.1.0", "gaitway/embedded:local"]
