"""The image of the job: built while the stack is deployed, or given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.conftest import Synthesise
from tests.infra.deployments import NGC_SECRET, settings_of
from tests.infra.templates import Allowed, Synthesis

_PULL = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
_REPOSITORY = "<ImageBuild/Repository.Arn>"


@pytest.fixture(scope="session")
def given(synthesise: Synthesise) -> Synthesis:
    """What is deployed with an image of another account."""
    return synthesise(settings_of("image-given"))


@pytest.fixture(scope="session")
def project(aws: Synthesis) -> dict[str, Any]:
    return aws.resource("AWS::CodeBuild::Project").properties


def images(synthesis: Synthesis) -> set[str]:
    """What the containers of both kinds of jobs run, of each simulator."""
    properties = [resource.properties for resource in synthesis.resources("AWS::Batch::JobDefinition")]
    containers = [item["ContainerProperties"] for item in properties if "ContainerProperties" in item]
    containers += [
        part["Container"]
        for item in properties
        for part in item.get("NodeProperties", {}).get("NodeRangeProperties", [])
    ]
    assert len(containers) in (2, 4)
    return {synthesis.text("GaitwayCompute", container["Image"]) for container in containers}


def test_a_job_runs_the_image_that_was_built_by_its_digest(aws: Synthesis) -> None:
    assert {image.rpartition("/<ImageBuild/Repository>@")[2] for image in images(aws)} == {
        "<ImageBuild/Image/Default.ImageDigest>",
        "<ImageBuild/ImageIsaacLab3/Default.ImageDigest>",
    }


def test_each_simulator_is_built_from_its_stage_one_after_the_other(aws: Synthesis) -> None:
    second, first = (aws.resource("Custom::GaitwayImage", f"ImageBuild/Image{which}/") for which in ("", "IsaacLab3"))
    assert (first.properties["Target"], second.properties["Target"]) == ("isaaclab-3", "isaaclab")
    assert first.name in aws.needed_by(second)
    tags = [each.properties["ImageTag"] for each in (first, second)]
    assert tags[0].removeprefix("isaaclab-3-") == tags[1].removeprefix("isaaclab-2-")


def test_an_image_is_built_for_a_simulator_that_has_none_of_yours(synthesise: Synthesise) -> None:
    synthesis = synthesise(settings_of("one-image-given"))
    assert [each.properties["Target"] for each in synthesis.resources("Custom::GaitwayImage")] == ["isaaclab-3"]
    yours, ours = sorted(images(synthesis))
    assert yours == "210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7"
    assert ours.endswith("@<ImageBuild/ImageIsaacLab3/Default.ImageDigest>")


def test_without_isaac_lab_2_nobody_accepts_its_licence(synthesise: Synthesise) -> None:
    synthesis = synthesise(settings_of("isaaclab-3-alone"))
    assert [each.properties["Target"] for each in synthesis.resources("Custom::GaitwayImage")] == ["isaaclab-3"]
    environment = synthesis.resource("AWS::CodeBuild::Project").properties["Environment"]["EnvironmentVariables"]
    assert {"Name": "ACCEPT_EULA", "Type": "PLAINTEXT", "Value": "N"} in environment


def test_what_can_fail_in_seconds_is_there_before_the_image_is_built(aws: Synthesis) -> None:
    compute = [resource for resource in aws.resources() if resource.stack == "GaitwayCompute"]
    before = {"ImageBuild/Image/Default", "ImageBuild/ImageIsaacLab3/Default"}
    while more := {name for one in compute if one.name in before for name in aws.needed_by(one)} - before:
        before |= more
    # These name the image.
    after = {resource.name for resource in compute if resource.type == "AWS::Batch::JobDefinition"}
    assert after
    assert {resource.name for resource in compute} - before == after


def test_an_image_that_is_given_is_run_as_it_is_and_nothing_is_built(given: Synthesis, embedded: Synthesis) -> None:
    assert images(given) == {"210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7"}
    assert images(embedded) == {"gaitway/embedded:local"}
    for synthesis in (given, embedded):
        assert [resource.name for resource in synthesis.resources() if resource.name.startswith("ImageBuild")] == []


def test_only_the_jobs_image_may_be_pulled(aws: Synthesis, given: Synthesis, embedded: Synthesis) -> None:
    def pulls(synthesis: Synthesis) -> set[Allowed]:
        return {grant for grant in synthesis.allowed("SimulationJob/ExecutionRole") if grant.action in _PULL}

    assert pulls(aws) == {Allowed(action, _REPOSITORY) for action in _PULL}
    other = "arn:<AWS::Partition>:ecr:eu-west-1:210987654321:repository/robots/isaac"
    assert pulls(given) == {Allowed(action, other) for action in _PULL}
    assert pulls(embedded) == set()


def test_other_sources_are_another_tag_and_what_is_uploaded_is_what_the_image_needs(aws: Synthesis) -> None:
    tag = aws.resource("Custom::GaitwayImage", "ImageBuild/Image/").properties["ImageTag"].removeprefix("isaaclab-2-")
    (sources,) = aws.directory.glob(f"asset.{tag}*")
    files = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    assert {"container/Dockerfile", "container/entrypoint.sh"} <= files
    assert {"container/requirements.txt", "container/requirements-isaaclab.txt"} <= files
    assert {"gaitway/runner/__main__.py", "gaitway/contracts/run.py", "gaitway/outputs/upload.py"} <= files
    assert {name.partition("/")[0] for name in files} == {"container", "gaitway"}
    assert not {name for name in files if "__pycache__" in name or "/local/" in name or "/cli/" in name}


def test_the_build_has_room_and_an_end_before_cloudformation_gives_up(aws: Synthesis, project: dict[str, Any]) -> None:
    environment = project["Environment"]
    assert (environment["ComputeType"], environment["PrivilegedMode"]) == ("BUILD_GENERAL1_LARGE", True)
    assert project["Cache"]["Modes"] == ["LOCAL_DOCKER_LAYER_CACHE"]
    for built in aws.resources("Custom::GaitwayImage"):
        wait_seconds = int(built.properties["ServiceTimeout"])
        assert (project["TimeoutInMinutes"] + project["QueuedTimeoutInMinutes"]) * 60 < wait_seconds <= 3600


def test_the_build_is_told_of_the_licence_and_of_no_secret(project: dict[str, Any]) -> None:
    variables = {item["Name"]: item["Value"] for item in project["Environment"]["EnvironmentVariables"]}
    assert variables.keys() == {"ACCEPT_EULA", "REPOSITORY_URI"}
    assert variables["ACCEPT_EULA"] == "Y"
    commands = json.loads(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    assert "--build-arg ACCEPT_EULA=" in commands[0]


def test_the_repository_scans_forgets_and_goes_with_its_images(aws: Synthesis) -> None:
    repository = aws.resource("AWS::ECR::Repository")
    properties = repository.properties
    assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert properties["ImageTagMutability"] == "IMMUTABLE"
    (rule,) = json.loads(properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["countNumber"] == 20, "ten of each simulator"
    assert (properties["EmptyOnDelete"], repository.attributes["DeletionPolicy"]) == (True, "Delete")


def test_the_build_may_push_its_image_and_read_its_sources(aws: Synthesis, project: dict[str, Any]) -> None:
    allowed = aws.allowed("ImageBuild/BuildRole")
    bucket, _, key = aws.text("GaitwayCompute", project["Source"]["Location"]).partition("/")
    arn = f"arn:<AWS::Partition>:s3:::{bucket}"
    assert {grant for grant in allowed if grant.action.startswith("s3:")} == {
        Allowed("s3:GetObject", f"{arn}/{key}"),
        Allowed("s3:GetObjectVersion", f"{arn}/{key}"),
        Allowed("s3:GetBucketAcl", arn),
        Allowed("s3:GetBucketLocation", arn),
    }
    ecr = {grant for grant in allowed if grant.action.startswith("ecr:") and "Authorization" not in grant.action}
    assert {grant.resource for grant in ecr} == {_REPOSITORY}
    assert Allowed("ecr:PutImage", _REPOSITORY) in ecr
    assert {grant.action.partition(":")[0] for grant in allowed} == {"ecr", "kms", "logs", "s3"}


def statements(synthesis: Synthesis) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every role's policy, with the policy's name, its references in words."""
    for policy in synthesis.resources("AWS::IAM::Policy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            resources = statement["Resource"]
            listed = resources if isinstance(resources, list) else [resources]
            yield policy.name, statement | {"Resource": [synthesis.text(policy.stack, one) for one in listed]}


def decrypting(synthesis: Synthesis, policy: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Which keys a policy lets its role use, and under which conditions."""
    stack = "GaitwayCompute"
    found = []
    for name, statement in statements(synthesis):
        if name == policy and statement["Action"] == "kms:Decrypt":
            conditions = {
                key: [synthesis.text(stack, value) for value in (values if isinstance(values, list) else [values])]
                for key, values in statement["Condition"]["StringEquals"].items()
            }
            found.append((statement["Resource"], conditions))
    return found


def test_who_reads_the_bootstrap_bucket_may_decrypt_what_it_reads_there_and_nothing_else(aws: Synthesis) -> None:
    readers = {
        name: [resource for resource in statement["Resource"] if "/" in resource]
        for name, statement in statements(aws)
        if "s3:GetObject" in statement["Action"] and any("cdk-hnb659fds" in one for one in statement["Resource"])
    }
    assert readers
    for name, objects in readers.items():
        ((keys, conditions),) = decrypting(aws, name)
        assert keys == ["arn:<AWS::Partition>:kms:<AWS::Region>:*:key/*"]
        assert conditions == {
            "kms:ViaService": ["s3.<AWS::Region>.amazonaws.com", "s3.<AWS::Region>.<AWS::URLSuffix>"],
            "kms:EncryptionContext:aws:s3:arn": [*objects, objects[0].partition("/")[0]],
        }


def test_the_build_logs_in_to_nvidias_registry_with_the_key_of_one_secret(synthesise: Synthesise) -> None:
    synthesis = synthesise(settings_of("ngc-account"))
    allowed = synthesis.allowed("ImageBuild/BuildRole")
    secrets = {grant for grant in allowed if grant.action.startswith("secretsmanager:")}
    assert secrets == {Allowed("secretsmanager:GetSecretValue", NGC_SECRET)}
    _, (keys, conditions) = decrypting(synthesis, "ImageBuild/BuildRole/DefaultPolicy")
    assert keys == ["arn:<AWS::Partition>:kms:eu-central-1:*:key/*"]
    assert conditions["kms:EncryptionContext:SecretARN"] == [NGC_SECRET]
    assert conditions["kms:ViaService"][0] == "secretsmanager.eu-central-1.amazonaws.com"


def test_without_a_secret_the_build_logs_in_to_the_accounts_own_registry_only(project: dict[str, Any]) -> None:
    assert "nvcr.io" not in project["Source"]["BuildSpec"]


def test_the_log_of_a_build_outlives_its_stack_and_stands_in_the_way_of_no_other(aws: Synthesis) -> None:
    (logs,) = [group for group in aws.resources("AWS::Logs::LogGroup") if group.name == "ImageBuild/Logs"]
    # Retain keeps it after a rollback of the stack's creation, too; what has a name could not be created a second time:
    # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
    assert (logs.attributes["DeletionPolicy"], logs.attributes["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert "LogGroupName" not in logs.properties
    assert logs.properties["RetentionInDays"] == 90


def test_the_function_reads_the_log_of_the_builds_and_no_other(aws: Synthesis) -> None:
    allowed = aws.allowed("ImageBuild/Function/Role")
    read = {grant for grant in allowed if grant.action.startswith("logs:Get")}
    assert read == {Allowed("logs:GetLogEvents", "<ImageBuild/Logs.Arn>")}


def test_the_function_may_build_look_and_go_on(aws: Synthesis) -> None:
    allowed = aws.allowed("ImageBuild/Function/Role")
    assert {grant for grant in allowed if not grant.action.startswith(("logs:", "xray:"))} == {
        Allowed("codebuild:StartBuild", "<ImageBuild/Project.Arn>"),
        Allowed("codebuild:BatchGetBuilds", "<ImageBuild/Project.Arn>"),
        Allowed("ecr:DescribeImages", _REPOSITORY),
        Allowed(
            "lambda:InvokeFunction",
            "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:gaitway-build-image",
        ),
    }
