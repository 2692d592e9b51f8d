"""HyperPod clusters: none unless a setting says so, and then with what nodes, jobs and agent need, and no more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from gaitway.contracts.eks import NAMESPACE_PREFIX
from gaitway.names import DEFAULT_NAMES
from gaitway.settings import SettingsError
from tests.infra.conftest import Synthesise
from tests.infra.deployments import (
    BOUNDARY,
    EKS_CLUSTER,
    ENVIRONMENT,
    TAGS,
    TRAINING_PLAN,
    new_app,
    settings_of,
    subnet_id,
)
from tests.infra.templates import ROOT, Allowed, Resource, Synthesis

CLUSTER = "AWS::SageMaker::Cluster"


@pytest.fixture(scope="module")
def slurm(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("slurm-cluster"))


@pytest.fixture(scope="module")
def both(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("both-clusters"))


@pytest.fixture
def existing(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> Synthesis:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return synthesise(settings_of("existing-eks"))


def test_every_stack_is_among_those_that_teardown_deletes(both: Synthesis) -> None:
    clusters = {"GaitwayEks", "GaitwayHyperpodEks", "GaitwayHyperpodSlurm"}
    assert clusters <= set(both.templates) <= {*DEFAULT_NAMES.stacks, *DEFAULT_NAMES.further_stacks}


def cluster_of(synthesis: Synthesis, stack: str) -> Resource:
    (found,) = [one for one in synthesis.resources(CLUSTER) if one.stack == stack]
    return found


def groups_of(synthesis: Synthesis, stack: str) -> dict[str, dict[str, Any]]:
    groups = cluster_of(synthesis, stack).properties["InstanceGroups"]
    return {group["InstanceGroupName"]: group for group in groups}


def test_by_default_there_is_neither_a_cluster_nor_a_stack_for_one(aws: Synthesis) -> None:
    assert set(aws.templates) == {"GaitwayNetwork", "GaitwayStorage", "GaitwayCompute", "GaitwayPipeline"}
    assert not [one for one in aws.resources() if one.type.startswith(("AWS::EKS", "AWS::SageMaker"))]


def test_a_cluster_of_slurm_has_a_controller_and_workers(slurm: Synthesis) -> None:
    cluster = cluster_of(slurm, "GaitwayHyperpodSlurm").properties
    assert (cluster["NodeRecovery"], set(cluster["Orchestrator"])) == ("Automatic", {"Slurm"})
    controller, workers = (groups_of(slurm, "GaitwayHyperpodSlurm")[name] for name in ("controller", "workers"))
    assert (controller["InstanceCount"], controller["SlurmConfig"]) == (1, {"NodeType": "Controller"})
    assert (workers["InstanceType"], workers["InstanceCount"]) == ("ml.p5.4xlarge", 4)
    assert workers["SlurmConfig"]["NodeType"] == "Compute"
    assert workers["TrainingPlanArn"] == TRAINING_PLAN
    # The plan has instances with GPUs.
    assert "TrainingPlanArn" not in controller


def test_deep_health_checks_are_for_nodes_with_gpus(slurm: Synthesis, both: Synthesis) -> None:
    checks = ["InstanceStress", "InstanceConnectivity"]
    assert groups_of(slurm, "GaitwayHyperpodSlurm")["workers"]["OnStartDeepHealthChecks"] == checks
    assert groups_of(both, "GaitwayHyperpodEks")["workers"]["OnStartDeepHealthChecks"] == checks
    without = groups_of(slurm, "GaitwayHyperpodSlurm")["controller"], *groups_of(both, "GaitwayHyperpodSlurm").values()
    for group in without:
        assert "OnStartDeepHealthChecks" not in group


@pytest.mark.parametrize("stack", ["GaitwayHyperpodSlurm", "GaitwayHyperpodEks"])
def test_nodes_are_in_one_zone_and_reach_the_file_system_and_each_other(both: Synthesis, stack: str) -> None:
    network = cluster_of(both, stack).properties["VpcConfig"]
    assert len(network["Subnets"]) == 1
    groups = {both.text(stack, group) for group in network["SecurityGroupIds"]}
    assert groups == {f"<Network/{name}SecurityGroup.GroupId>" for name in ("Compute", "Nodes")}


@pytest.mark.parametrize(("stack", "folder"), [("GaitwayHyperpodSlurm", "slurm"), ("GaitwayHyperpodEks", "eks")])
def test_what_a_new_node_runs_is_in_a_bucket_that_is_named_as_hyperpod_wants_it(
    both: Synthesis, stack: str, folder: str
) -> None:
    (bucket,) = [one for one in both.resources("AWS::S3::Bucket") if one.stack == stack]
    assert both.text(stack, bucket.properties["BucketName"]).startswith("sagemaker-gaitway-")
    for group in groups_of(both, stack).values():
        config = group["LifeCycleConfig"]
        assert both.text(stack, config["SourceS3Uri"]) == "s3://<LifecycleScripts/Bucket>/"
        script = ROOT / "lifecycle" / folder / config["OnInitComplete"]
        assert os.access(script, os.X_OK)
    # They are there before the cluster is.
    assert "LifecycleScripts/Deployment/CustomResource/Default" in both.needed_by(cluster_of(both, stack))


def test_a_controller_is_told_what_its_script_reads(slurm: Synthesis) -> None:
    (path,) = slurm.directory.glob("asset.*/gaitway.json")
    text = path.read_text(encoding="utf-8")
    # What only CloudFormation knows is filled in when the file is copied.
    for marker in slurm.resource("Custom::CDKBucketDeployment").properties["SourceMarkers"][-1]:
        text = text.replace(marker, '"filled in"')
    assert json.loads(text) == {
        "deployment": "gaitway",
        "region": "filled in",
        "controller_group": "controller",
        "package": "filled in",
    }
    (package,) = [one for one in slurm.directory.glob("asset.*") if (one / "pyproject.toml").exists()]
    assert (package / "gaitway" / "cli" / "agent.py").exists()
    assert not (package / "stacks").exists()


def granted(synthesis: Synthesis, stack: str, policy: str = "Nodes/Policy") -> set[Allowed]:
    """What a policy of a stack allows."""
    (found,) = [one for one in synthesis.resources("AWS::IAM::Policy") if (one.stack, one.name) == (stack, policy)]
    return {
        Allowed(action, synthesis.text(stack, resource))
        for statement in found.properties["PolicyDocument"]["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for resource in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
    }


def test_nodes_of_slurm_have_the_role_of_the_agent_and_what_hyperpod_asks_for(slurm: Synthesis) -> None:
    actions = {grant.action for grant in granted(slurm, "GaitwayHyperpodSlurm")}
    assert {"s3:GetObject", "s3:ListBucket", "logs:PutLogEvents", "ec2:CreateNetworkInterface"} <= actions
    assert not {action for action in actions if action.startswith(("ecr:", "eks", "sagemaker:", "iam:"))}
    policy = slurm.resource("AWS::IAM::Policy", "Nodes/Policy")
    role = slurm.resource("AWS::IAM::Role", "HyperpodSlurm/Role")
    name = slurm.text(role.stack, role.properties["RoleName"])
    assert name == DEFAULT_NAMES.agent_role("hyperpod-slurm", "<AWS::Region>")
    assert [slurm.text(policy.stack, one) for one in policy.properties["Roles"]] == [name]
    for group in groups_of(slurm, "GaitwayHyperpodSlurm").values():
        assert slurm.text(policy.stack, group["ExecutionRole"]).endswith(f":role/{name}")


@pytest.mark.parametrize("stack", ["GaitwayHyperpodSlurm", "GaitwayHyperpodEks"])
def test_nodes_may_use_the_clusters_subnet_groups_and_bucket_only(both: Synthesis, stack: str) -> None:
    grants = granted(both, stack)
    arn = "arn:<AWS::Partition>:ec2:<AWS::Region>:<AWS::AccountId>"
    assert {one.resource for one in grants if one.action == "ec2:CreateNetworkInterface"} == {
        f"{arn}:network-interface/*",
        f"{arn}:subnet/<Network/Vpc/ComputeSubnet1/Subnet>",
        f"{arn}:security-group/<Network/ComputeSecurityGroup.GroupId>",
        f"{arn}:security-group/<Network/NodesSecurityGroup.GroupId>",
    }
    assert {one.resource for one in grants if one.action == "s3:ListBucket"} == {"<LifecycleScripts/Bucket.Arn>"}


def test_a_new_control_plane_is_as_hyperpod_needs_it(both: Synthesis) -> None:
    plane = both.resource("AWS::EKS::Cluster").properties
    assert plane["AccessConfig"] == {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": False}
    network = plane["ResourcesVpcConfig"]
    assert len(network["SubnetIds"]) == 2
    # Nodes and control plane are members of it, who reach each other.
    nodes = cluster_of(both, "GaitwayHyperpodEks").properties["VpcConfig"]["SecurityGroupIds"]
    assert network["SecurityGroupIds"][0] in nodes
    orchestrator = cluster_of(both, "GaitwayHyperpodEks").properties["Orchestrator"]["Eks"]["ClusterArn"]
    assert both.text("GaitwayHyperpodEks", orchestrator).endswith(f":cluster/{plane['Name']}")
    manifest = json.loads((both.directory / "manifest.json").read_text(encoding="utf-8"))
    before = set(manifest["artifacts"]["GaitwayHyperpodEks"]["dependencies"])
    assert {"GaitwayEks", "GaitwayCompute"} <= before


def test_add_ons_that_wait_for_a_node_come_after_the_nodes(both: Synthesis) -> None:
    add_ons = {one.properties["AddonName"]: one for one in both.resources("AWS::EKS::Addon")}
    after = {name for name, one in add_ons.items() if "Cluster" in both.needed_by(one) and one.stack != "GaitwayEks"}
    assert after == {"coredns", "aws-efs-csi-driver", "amazon-sagemaker-hyperpod-taskgovernance"}
    assert add_ons.keys() - after == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}
    (mounts,) = add_ons["aws-efs-csi-driver"].properties["PodIdentityAssociations"]
    assert mounts["ServiceAccount"] == "efs-csi-node-sa"
    driver = granted(both, "GaitwayHyperpodEks", "TaskGovernance/FileSystemDriver/DefaultPolicy")
    assert {one.action for one in driver} == {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"}


def test_agent_and_jobs_get_their_roles_in_the_teams_namespace(both: Synthesis) -> None:
    found = {
        one.properties["ServiceAccount"]: (
            one.properties["Namespace"],
            both.text(one.stack, one.properties["RoleArn"]).rpartition("/")[2],
        )
        for one in both.resources("AWS::EKS::PodIdentityAssociation")
    }
    namespace = f"{NAMESPACE_PREFIX}robots"
    assert found == {
        DEFAULT_NAMES.agent_account: (namespace, DEFAULT_NAMES.agent_role("hyperpod-eks", "<AWS::Region>")),
        DEFAULT_NAMES.runner_account: (namespace, DEFAULT_NAMES.jobs_role("hyperpod-eks", "<AWS::Region>")),
    }
    named = [one for one in both.resources("AWS::IAM::Role") if "RoleName" in one.properties]
    roles = {both.text(one.stack, one.properties["RoleName"]) for one in named}
    assert {name for _, name in found.values()} <= roles


def test_the_team_has_all_nodes_as_its_quota(both: Synthesis) -> None:
    quota = both.resource("AWS::SageMaker::ComputeQuota")
    assert quota.properties["ComputeQuotaTarget"]["TeamName"] == "robots"
    assert quota.properties["ComputeQuotaConfig"]["ComputeQuotaResources"] == [
        {"InstanceType": "ml.g6.12xlarge", "Count": 2}
    ]
    policy = both.resource("AWS::SageMaker::ClusterSchedulerConfig")
    # The class is called training-priority on the cluster.
    assert policy.properties["SchedulerConfig"]["PriorityClasses"] == [{"Name": "training", "Weight": 100}]
    assert "TaskGovernance/amazon-sagemaker-hyperpod-taskgovernance" in both.needed_by(policy)
    assert "TaskGovernance/Policy" in both.needed_by(quota)


@pytest.mark.parametrize(
    ("type_", "operation"),
    [
        (CLUSTER, "CreateCluster"),
        ("AWS::SageMaker::ComputeQuota", "CreateComputeQuota"),
        ("AWS::SageMaker::ClusterSchedulerConfig", "CreateClusterSchedulerConfig"),
    ],
)
def test_what_cloudformation_will_ask_for_is_valid_by_the_services_own_model(
    both: Synthesis, type_: str, operation: str
) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation)
    assert model.input_shape is not None
    for resource in both.resources(type_):
        request = {"ClusterName": "given"} if type_ == CLUSTER else {}
        request |= without_references(both, resource.stack, resource.properties)
        report = ParamValidator().validate(request, model.input_shape)
        assert not report.has_errors(), report.generate_report()


def without_references(synthesis: Synthesis, stack: str, value: Any) -> Any:
    """Write references in words, as `Synthesis.text` does, wherever a template has them."""
    match value:
        case {"Ref": _} | {"Fn::ImportValue": _} | {"Fn::GetAtt": _} | {"Fn::Join": _}:
            # An ARN has 20 characters at least.
            return synthesis.text(stack, value).ljust(20, ".")
        case dict():
            return {key: without_references(synthesis, stack, part) for key, part in value.items()}
        case list():
            return [without_references(synthesis, stack, part) for part in value]
    return value


def test_an_existing_eks_cluster_stays_as_it_is(existing: Synthesis) -> None:
    assert "GaitwayEks" not in existing.templates
    assert not existing.resources("AWS::EKS::Addon")
    cluster = cluster_of(existing, "GaitwayHyperpodEks").properties
    assert cluster["Orchestrator"] == {"Eks": {"ClusterArn": EKS_CLUSTER}}
    assert "sg-0123456789abcdef0" in cluster["VpcConfig"]["SecurityGroupIds"]
    assert {one.properties["ClusterName"] for one in existing.resources("AWS::EKS::PodIdentityAssociation")} == {
        "robots"
    }
    assert existing.resource("AWS::SageMaker::ComputeQuota").properties["ClusterArn"]


def test_a_new_control_plane_needs_two_zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stacks.assembly import assemble

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    one_zone = {"eks_cluster_arn": None, "eks_security_group_id": None, "subnet_ids": (subnet_id("private", 0),)}
    settings = settings_of("existing-eks").model_copy(update=one_zone)
    with pytest.raises(SettingsError, match="all in one zone, but hyperpodClusters holds hyperpod-eks"):
        assemble(new_app(tmp_path), settings)


def test_everything_of_a_cluster_has_the_deployments_tags_and_its_boundary(slurm: Synthesis, both: Synthesis) -> None:
    tagged = {one.type for one in both.resources() if TAGS.items() <= tags_of(one).items()}
    assert {CLUSTER, "AWS::EKS::Cluster", "AWS::EKS::Addon", "AWS::SageMaker::ComputeQuota"} <= tagged
    roles = slurm.resources("AWS::IAM::Role")
    assert {role.properties.get("PermissionsBoundary") for role in roles} == {BOUNDARY}


def tags_of(resource: Resource) -> dict[str, str]:
    tags = resource.properties.get("Tags", [])
    return tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
