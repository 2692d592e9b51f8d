"""Two deployments in one account: whatever has a fixed name bears the deployment's, and no name of another's."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict

import pytest

from gaitway.names import MAX_CHARACTERS, Names
from gaitway.settings import DEPLOYABLE_BACKENDS, Settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import VAMS_IMPORT, settings_of
from tests.infra.templates import ROOT, Synthesis

NAMED = "legs-dev"
LIMITS = {
    "AWS::Batch::JobDefinition": 128,
    "AWS::Batch::JobQueue": 128,
    "AWS::Batch::SchedulingPolicy": 128,
    "AWS::Batch::ServiceEnvironment": 128,
    "AWS::CloudWatch::Alarm": 255,
    "AWS::CloudWatch::Dashboard": 255,
    "AWS::CodeBuild::Project": 150,
    "AWS::ECR::Repository": 256,
    "AWS::EKS::Cluster": 100,
    "AWS::IAM::Role": 64,
    "AWS::Lambda::Function": 64,
    "AWS::Logs::LogGroup": 512,
    "AWS::Logs::QueryDefinition": 255,
    "AWS::SNS::Topic": 256,
    "AWS::SQS::Queue": 80,
    "AWS::SSM::Parameter": 1011,
    "AWS::StepFunctions::StateMachine": 80,
}
"""How long a name may be: docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference, at each type's property."""
NAME_PROPERTIES = {
    "AWS::Batch::JobDefinition": "JobDefinitionName",
    "AWS::Batch::JobQueue": "JobQueueName",
    "AWS::Batch::SchedulingPolicy": "Name",
    "AWS::Batch::ServiceEnvironment": "ServiceEnvironmentName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::EKS::Cluster": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
NO_NAMES = {
    "AWS::CloudWatch::Alarm": {"MetricName"},
    "AWS::IAM::Policy": {"PolicyName"},
    "AWS::SNS::Topic": {"DisplayName"},
}
"""Properties that look like a resource's name. A policy's is its role's alone, a metric's that of its namespace, and
a display name is shown in e-mails."""


def names_by_type(synthesis: Synthesis) -> dict[str, set[str]]:
    """Every fixed name of a deployment, references in words."""
    found: dict[str, set[str]] = defaultdict(set)
    for resource in synthesis.resources():
        name = resource.properties.get(NAME_PROPERTIES.get(resource.type, ""))
        if name is not None:
            found[resource.type].add(synthesis.text(resource.stack, name))
    return found


@pytest.fixture(scope="session")
def named(synthesise: Synthesise) -> Synthesis:
    """A deployment with a name of its own, registered with VAMS, and with every back end."""
    further = {
        "auto_register_with_vams": True,
        "vams_import_function_name": VAMS_IMPORT,
        "backends": DEPLOYABLE_BACKENDS,
        "eks_team": "robots",
        "eks_instance_type": "ml.g6.12xlarge",
    }
    return synthesise(Settings.model_validate(settings_of("named").model_dump() | further, by_name=True))


def test_what_has_a_fixed_name_is_known_here(named: Synthesis) -> None:
    unknown = {
        (resource.type, key)
        for resource in named.resources()
        for key, value in resource.properties.items()
        if key.endswith("Name")
        and (isinstance(value, str) or NAMED in json.dumps(value))
        and resource.type.startswith("AWS::")
        if key != NAME_PROPERTIES.get(resource.type) and key not in NO_NAMES.get(resource.type, set())
    }
    assert unknown == set(), "two deployments would share these"


def test_every_name_begins_with_the_deployments(named: Synthesis) -> None:
    for type_, names in names_by_type(named).items():
        for name in names:
            begins = re.match(rf"(vams-|/aws/vendedlogs/states/|/)?{NAMED}(?=[-/]|$)", name)
            assert begins, f"{type_} {name}"


def test_no_name_of_one_deployment_is_one_of_another(aws: Synthesis) -> None:
    """`a-b` with `c` would be `a` with `b-c`, where both `c` and `b-c` are names."""
    for type_, names in names_by_type(aws).items():
        rest = {name.rpartition("gaitway")[2] for name in names}
        clashing = {(one, other) for one in rest for other in rest if one != other and one and other.endswith(one)}
        assert clashing == set(), type_


def test_what_an_account_has_in_all_regions_together_has_its_region_in_its_name(named: Synthesis) -> None:
    names = names_by_type(named)
    everywhere = names["AWS::CloudWatch::Dashboard"] | names["AWS::IAM::Role"]
    assert f"{NAMED}-training-job-<AWS::Region>" in everywhere
    assert [name for name in everywhere if not name.endswith("-<AWS::Region>")] == []


def test_the_longest_name_leaves_room_for_every_name(named: Synthesis) -> None:
    for type_, names in names_by_type(named).items():
        longest = max(len(name.replace("<AWS::Region>", "ap-southeast-1")) for name in names)
        assert longest - len(NAMED) + MAX_CHARACTERS <= LIMITS[type_], type_


def test_two_deployments_have_no_name_in_common(aws: Synthesis, named: Synthesis) -> None:
    ours, others = names_by_type(aws), names_by_type(named)
    assert {type_: ours[type_] & others[type_] for type_ in ours if ours[type_] & others[type_]} == {}
    pipelines = {resource.properties["pipelineId"] for resource in named.resources("Custom::VamsPipeline")}
    assert pipelines == {f"{NAMED}-isaaclab-training", f"{NAMED}-isaaclab-evaluation"}


def test_stacks_have_the_deployments_name_and_keep_their_ids(named: Synthesis) -> None:
    assert {stack.stack_name for stack in named.app.node.children if hasattr(stack, "stack_name")} == set(
        Names(NAMED).stacks
    )
    assert "GaitwayPipeline" in named.templates


def test_metrics_and_alarms_of_two_deployments_do_not_mix(named: Synthesis) -> None:
    namespaces = {alarm.properties["Namespace"] for alarm in named.resources("AWS::CloudWatch::Alarm")}
    assert {name for name in namespaces if not name.startswith("AWS/")} == {f"Gaitway/{NAMED}"}
    allowed = [
        statement["Condition"]
        for policy in named.resources("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Action"] == "cloudwatch:PutMetricData"
    ]
    ours = {"StringEquals": {"cloudwatch:namespace": f"Gaitway/{NAMED}"}}
    of_sagemaker = {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}
    assert ours in allowed
    assert all(one in (ours, of_sagemaker) for one in allowed)


def test_no_permission_names_what_another_deployment_has(named: Synthesis) -> None:
    """Of what has a fixed name: an ARN with `gaitway` in it would be the other deployment's."""
    assert {grant for grant in named.allowed() if "gaitway" in grant.resource} == set()


SPELT = re.compile(r"""["'/]gaitway-[a-z]|["']/gaitway/|vams-gaitway""")
ALLOWED = {
    # What belongs to no deployment: scratch directories, a terminal, a check's own queue, and what the embedded
    # AWS keeps for itself.
    "bench/",
    "gaitway/acceptance/checks/alarm.py",
    "gaitway/cli/acceptance.py",
    "gaitway/cli/tensorboard.py",
    "gaitway/local/",
    "handbook/",
    # The image's own name in the list of its parts.
    "container/sbom.py",
    # In the namespace that a team has on a cluster; labels, beside which stands one with the deployment's name.
    "gaitway/compute/eks/agent_manifests.py",
    "gaitway/compute/eks/manifests.py",
    # Within a workspace of Prometheus or of Grafana.
    "stacks/prometheus/",
    # Where access point and container have the runs, in the deployment's own file system.
    "stacks/components/file_system.py",
}


def test_names_are_made_in_one_place() -> None:
    shipped = ("bench", "container", "gaitway", "handbook", "lambdas", "stacks")
    listed = subprocess.run(["git", "ls-files", *shipped], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [
        f"{name}: {line.strip()}"
        for name in listed.stdout.splitlines()
        if name.endswith(".py") and not name.startswith(tuple(ALLOWED))
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if SPELT.search(line)
    ]
    assert found == []
