"""Where jobs run, and what they are."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gaitway.instances.types import INSTANCE_SIZES
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.batch import BatchVariables
from gaitway.runner.host.environment import Environment
from gaitway.runner.run import EXIT_FAILED
from gaitway.settings import load_settings
from gaitway.simulators.isaaclab2.caches import CACHE_ROOT
from tests.infra.conftest import Synthesise
from tests.infra.templates import ROOT, Synthesis

QUEUES = ["GpuQueue1", "GpuQueue4", "MultiNodeQueue1", "MultiNodeQueue4"]


@pytest.fixture(scope="session")
def container(aws: Synthesis) -> dict[str, Any]:
    properties: dict[str, Any] = definition(aws, "container")["ContainerProperties"]
    return properties


@pytest.fixture(scope="session")
def nodes(aws: Synthesis) -> dict[str, Any]:
    properties: dict[str, Any] = definition(aws, "multinode")["NodeProperties"]
    return properties


def definition(synthesis: Synthesis, type_: str, simulator: str = "isaaclab-2") -> dict[str, Any]:
    names = DEFAULT_NAMES.job_definition(simulator), DEFAULT_NAMES.multi_node_job_definition(simulator)
    (found,) = [
        resource.properties
        for resource in synthesis.resources("AWS::Batch::JobDefinition")
        if resource.properties["Type"] == type_ and resource.properties["JobDefinitionName"] in names
    ]
    return found


def environments(synthesis: Synthesis, queues: str = "") -> list[dict[str, Any]]:
    """What the compute environments of queues start, in the order in which their jobs are placed.

    Args:
        synthesis: What is deployed.
        queues: The beginning of the queues' names.
    """
    by_reference = {
        f"<{resource.name}.ComputeEnvironmentArn>": resource.properties["ComputeResources"]
        for resource in synthesis.resources("AWS::Batch::ComputeEnvironment")
    }
    found = [queue for queue in synthesis.resources("AWS::Batch::JobQueue") if queue.name.startswith(queues)]
    assert found
    return [
        by_reference[synthesis.text("GaitwayCompute", item["ComputeEnvironment"])]
        for queue in sorted(found, key=lambda queue: queue.name)
        for item in sorted(queue.properties["ComputeEnvironmentOrder"], key=lambda item: int(item["Order"]))
    ]


def network_interfaces(synthesis: Synthesis, environment: dict[str, Any]) -> list[dict[str, Any]]:
    """What the environment's launch template says of them; none where EC2 decides."""
    used = synthesis.text("GaitwayCompute", environment["LaunchTemplate"]["LaunchTemplateId"])
    (template,) = [
        template.properties["LaunchTemplateData"]
        for template in synthesis.resources("AWS::EC2::LaunchTemplate")
        if used == f"<{template.name}>"
    ]
    interfaces: list[dict[str, Any]] = template.get("NetworkInterfaces", [])
    return interfaces


def security_groups(synthesis: Synthesis, environment: dict[str, Any]) -> list[Any]:
    """Of the environment's instances, which either the environment or its launch template names."""
    named = [interface["Groups"] for interface in network_interfaces(synthesis, environment)]
    named += [environment["SecurityGroupIds"]] if "SecurityGroupIds" in environment else []
    (groups,) = named
    return list(groups)


def requirements(container: dict[str, Any]) -> dict[str, int]:
    return {item["Type"]: int(item["Value"]) for item in container["ResourceRequirements"]}


def gpus_of(environment: dict[str, Any]) -> set[int]:
    return {INSTANCE_SIZES[name].gpus for name in environment["InstanceTypes"]}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_job_that_waits_keeps_none_behind_it_from_other_instances(aws: Synthesis, queue: str) -> None:
    (environment,) = environments(aws, queue)
    assert gpus_of(environment) == {int(queue[-1])}


def test_every_number_of_gpus_has_its_queues(aws: Synthesis) -> None:
    names = {queue.properties["JobQueueName"] for queue in aws.resources("AWS::Batch::JobQueue")}
    assert names == {"gaitway-gpu-1", "gaitway-gpu-4", "gaitway-multi-node-1", "gaitway-multi-node-4"}


def test_a_job_fits_the_smallest_instance_with_room_for_the_system(aws: Synthesis, container: dict[str, Any]) -> None:
    sizes = [INSTANCE_SIZES[name] for item in environments(aws) for name in item["InstanceTypes"]]
    asked = requirements(container)
    assert asked["MEMORY"] <= min(size.memory_gib for size in sizes) * 1024 - 2048
    assert asked["VCPU"] <= min(size.vcpus for size in sizes)
    assert asked["GPU"] == 1


def test_instances_are_bought_on_demand_with_the_images_that_hold_nvidias_driver(aws: Synthesis) -> None:
    for environment in environments(aws):
        assert (environment["Type"], environment["AllocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")
        assert environment["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]


def test_every_cluster_has_container_insights(aws: Synthesis) -> None:
    for environment in aws.resources("AWS::Batch::ComputeEnvironment"):
        assert environment.properties["EcsSettings"] == {"ContainerInsights": "ENHANCED"}


def test_instances_stand_behind_nat(aws: Synthesis) -> None:
    private = {
        f"<{subnet.name.removesuffix('/Subnet')}/Subnet>"
        for subnet in aws.resources("AWS::EC2::Subnet")
        if {"Key": "aws-cdk:subnet-type", "Value": "Private"} in subnet.properties["Tags"]
    }
    for queue, count in (("GpuQueue", 2), ("MultiNodeQueue", 1)):
        for environment in environments(aws, queue):
            subnets = {aws.text("GaitwayCompute", subnet) for subnet in environment["Subnets"]}
            assert subnets <= private
            # A cluster placement group has one availability zone.
            assert len(subnets) == count


def test_nodes_stand_close_together_and_nothing_else_does(aws: Synthesis) -> None:
    groups = [
        aws.text("GaitwayCompute", environment["PlacementGroup"]) for environment in environments(aws, "MultiNodeQueue")
    ]
    clusters = [
        group
        for group in aws.resources("AWS::EC2::PlacementGroup")
        if group.properties["Strategy"] == "cluster" and f"<{group.name}.GroupName>" in groups
    ]
    assert len(clusters) == len(set(groups)) == len(groups)
    assert not any("PlacementGroup" in environment for environment in environments(aws, "GpuQueue"))


def test_nodes_talk_among_themselves_and_nobody_else_is_called(aws: Synthesis) -> None:
    def groups(queue: str) -> set[str]:
        return {
            aws.text("GaitwayCompute", group)
            for environment in environments(aws, queue)
            for group in security_groups(aws, environment)
        }

    (nodes,) = groups("MultiNodeQueue") - groups("GpuQueue")
    assert groups("GpuQueue") < groups("MultiNodeQueue")
    for direction, peer in (("Ingress", "SourceSecurityGroupId"), ("Egress", "DestinationSecurityGroupId")):
        rules = [
            rule.properties
            for rule in aws.resources(f"AWS::EC2::SecurityGroup{direction}")
            if aws.text(rule.stack, rule.properties["GroupId"]) == nodes
        ]
        assert [(rule["IpProtocol"], aws.text("GaitwayNetwork", rule[peer])) for rule in rules] == [("-1", nodes)]
    inline = [
        group.properties for group in aws.resources("AWS::EC2::SecurityGroup") if nodes == f"<{group.name}.GroupId>"
    ]
    assert not any(key.startswith("SecurityGroup") for key in inline[0])


def test_the_root_volume_holds_isaac_sim_encrypted_and_is_fast(aws: Synthesis) -> None:
    templates = aws.resources("AWS::EC2::LaunchTemplate")
    assert templates
    for template in templates:
        data = template.properties["LaunchTemplateData"]
        (device,) = data["BlockDeviceMappings"]
        volume = device["Ebs"]
        assert (volume["VolumeSize"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
        # gp3 has 3000 and 125 by itself, and allows 0.25 MiB/s for each of its operations per second.
        assert volume["Throughput"] > 125
        assert volume["Throughput"] <= volume["Iops"] * 0.25
        assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}


def test_no_instance_waits_for_work_unless_one_is_kept_warm(aws: Synthesis, synthesise: Synthesise) -> None:
    warm = synthesise(load_settings({"acceptNvidiaEula": "true", "keepWarmInstance": "true"}, ROOT))
    for synthesis, kept in ((aws, [0, 0, 0, 0]), (warm, [8, 0, 0, 0])):
        assert [item["MinvCpus"] for queue in QUEUES for item in environments(synthesis, queue)] == kept


@pytest.mark.parametrize("queue", QUEUES)
def test_a_job_that_fits_nowhere_is_cancelled(aws: Synthesis, queue: str) -> None:
    actions = aws.resource("AWS::Batch::JobQueue", queue).properties["JobStateTimeLimitActions"]
    assert {(action["Reason"], action["State"], action["Action"]) for action in actions} == {
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "RUNNABLE", "CANCEL"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "RUNNABLE", "CANCEL"),
    }


def test_jobs_of_one_node_and_of_several_differ_in_that_and_in_how_nodes_talk(aws: Synthesis) -> None:
    single, multi = (deepcopy(definition(aws, type_)) for type_ in ("container", "multinode"))
    (node_range,) = multi.pop("NodeProperties")["NodeRangeProperties"]
    node, container = node_range["Container"], single.pop("ContainerProperties")
    assert [limit["Name"] for limit in node.pop("Ulimits")] == ["memlock"]
    assert [device["HostPath"] for device in node["LinuxParameters"].pop("Devices")] == ["/dev/infiniband/uverbs0"]
    node["Environment"] = [item for item in node["Environment"] if not item["Name"].startswith("NCCL_")]
    assert node == container
    for own in ("Type", "JobDefinitionName"):
        assert multi.pop(own) != single.pop(own)
    assert multi == single


@pytest.mark.parametrize("type_", ["container", "multinode"])
def test_jobs_of_both_simulators_differ_in_their_image_only(aws: Synthesis, type_: str) -> None:
    jobs = [deepcopy(definition(aws, type_, simulator)) for simulator in ("isaaclab-2", "isaaclab-3")]
    assert len({job.pop("JobDefinitionName") for job in jobs}) == 2
    images = [
        aws.text("GaitwayCompute", container.pop("Image")).partition("@")[2]
        for job in jobs
        for container in (
            job["ContainerProperties"]
            if type_ == "container"
            else job["NodeProperties"]["NodeRangeProperties"][0]["Container"],
        )
    ]
    assert images == [
        "<ImageBuild/Image/Default.ImageDigest>",
        "<ImageBuild/ImageIsaacLab3/Default.ImageDigest>",
    ]
    assert jobs[0] == jobs[1]


def test_a_submission_says_how_many_nodes_there_are_and_the_first_one_leads(nodes: dict[str, Any]) -> None:
    assert nodes["MainNode"] == 0
    assert [node_range["TargetNodes"] for node_range in nodes["NodeRangeProperties"]] == ["0:"]


def test_a_job_is_given_its_runs_id_and_what_it_reads_and_no_more(aws: Synthesis, container: dict[str, Any]) -> None:
    given = {item["Name"]: aws.text("GaitwayCompute", item["Value"]) for item in container["Environment"]}
    read = {field.alias for model in (Environment, BatchVariables) for field in model.model_fields.values()}
    of_simulators_and_clients = {CACHE_ROOT, "AWS_REGION", "AWS_DEFAULT_REGION"}

    assert container["Command"] == ["Ref::run_id"]
    assert given.keys() <= read | of_simulators_and_clients
    # Refuses what is missing; these two are AWS Batch's and the image's.
    all_given = given | {"AWS_BATCH_JOB_ID": "job-1", "GAITWAY_SIMULATOR": "isaaclab2"}
    environment = Environment.of(all_given)
    efs, cache, machine = (mount["ContainerPath"] for mount in container["MountPoints"][:3])
    assert (str(environment.efs_root), given[CACHE_ROOT]) == (efs, cache)
    assert BatchVariables.model_validate(all_given, strict=False).machine_file == Path(machine) / "machine.json"
    references = {name: value for name, value in given.items() if "<" in value}
    assert references == {
        "AWS_DEFAULT_REGION": "<AWS::Region>",
        "AWS_REGION": "<AWS::Region>",
        "GAITWAY_RUN_ACCESS_ROLE": "<SimulationJob/RunAccess.Arn>",
        "GAITWAY_RUN_TABLE": "<RunTable/Runs>",
    }


def test_a_job_enters_the_file_system_by_the_access_point_in_its_own_role(container: dict[str, Any]) -> None:
    (volume,) = [volume for volume in container["Volumes"] if "EfsVolumeConfiguration" in volume]
    mount = volume["EfsVolumeConfiguration"]
    assert mount["TransitEncryption"] == "ENABLED"
    assert mount["AuthorizationConfig"]["Iam"] == "ENABLED"
    assert mount["AuthorizationConfig"]["AccessPointId"]
    assert mount["RootDirectory"] == "/"


def test_a_job_reads_what_its_instance_has_written_of_itself_and_writes_nothing_there(
    container: dict[str, Any],
) -> None:
    mount = container["MountPoints"][2]
    (path,) = [
        volume["Host"]["SourcePath"] for volume in container["Volumes"] if volume["Name"] == mount["SourceVolume"]
    ]
    assert (path, mount["ReadOnly"]) == ("/etc/gaitway", True)
    boot = (ROOT / "stacks" / "components" / "instance_boot.sh").read_text(encoding="utf-8")
    assert f"{path}/machine.json" in boot


def test_a_job_is_tried_again_unless_it_has_reported_its_failure_and_not_for_ever(
    aws: Synthesis, container: dict[str, Any]
) -> None:
    properties = definition(aws, "container")
    attempts = {item["Name"]: item["Value"] for item in container["Environment"]}["GAITWAY_JOB_ATTEMPTS"]
    # What no rule matches is tried again: docs.aws.amazon.com/batch/latest/userguide/job_retries.html
    assert properties["RetryStrategy"] == {
        "Attempts": int(attempts),
        "EvaluateOnExit": [{"Action": "EXIT", "OnExitCode": str(EXIT_FAILED)}],
    }
    assert properties["Timeout"] == {"AttemptDurationSeconds": 28800}


def test_a_job_without_gpus_asks_for_none(embedded: Synthesis) -> None:
    assert "GPU" not in requirements(definition(embedded, "container")["ContainerProperties"])


def test_an_update_of_the_instances_ends_no_job_and_brings_the_newest_image(aws: Synthesis) -> None:
    found = aws.resources("AWS::Batch::ComputeEnvironment")
    longest = definition(aws, "container")["Timeout"]["AttemptDurationSeconds"]
    for resource in found:
        policy = resource.properties["UpdatePolicy"]
        assert policy["JobExecutionTimeoutMinutes"] * 60 >= longest
        # docs.aws.amazon.com/batch/latest/APIReference/API_UpdatePolicy.html
        assert policy["JobExecutionTimeoutMinutes"] <= 7200
        assert policy["TerminateJobsOnUpdate"] is False
        assert resource.properties["ComputeResources"]["UpdateToLatestImageVersion"] is True
        # Else it would be replaced as a whole, with its jobs.
        assert resource.properties["ReplaceComputeEnvironment"] is False
        # Batch updates such an environment only where it acts in its own service-linked role:
        # docs.aws.amazon.com/batch/latest/userguide/infrastructure-updates.html
        assert "ServiceRole" not in resource.properties
