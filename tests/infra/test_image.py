"""The image of the job: built while the stack is deployed, or given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.conftest import Synthesise
from tests.infra.deployments import settings_of
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
    """What the containers of both kinds of jobs run."""
    properties = [resource.properties for resource in synthesis.resources("AWS::Batch::JobDefinition")]
    containers = [item["ContainerProperties"] for item in properties if "ContainerProperties" in item]
    containers += [
        part["Container"]
        for item in properties
        for part in item.get("NodeProperties", {}).get("NodeRangeProperties", [])
    ]
    assert len(containers) == 2
    return {synthesis.text("GaitwayCompute", container["Image"]) for container in containers}


def test_a_job_runs_the_image_that_was_built_by_its_digest(aws: Synthesis) -> None:
    (image,) = images(aws)
    assert image.endswith("/<ImageBuild/Repository>@<ImageBuild/Image/Default.ImageDigest>")


def test_an_image_that_is_given_is_run_as_it_is_and_nothing_is_built(given: Synthesis, embedded: Synthesis) -> None:
    assert images(given) == {"210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7"}
    assert images(embedded) == {"gaitway/embedded:local"}
    for synthesis in (given, embedded):
        assert [resource.name for resource in synthesis.resources() if resource.name.startswith("ImageBuild")] == []


def test_only_the_jobs_image_may_be_pulled(aws: Synthesis, given: Synthesis, embedded: Synthesis) -> None:
    def pulls(synthesis: Synthesis) -> set[Allowed]:
        return {grant for grant in synthesis.allowed("SimulationJob/ExecutionRole") if grant.action in _PULL}

    assert pulls(aws) == {Allowed(action, _REPOSITORY) for action in _PULL}
    other = "arn:aws:ecr:eu-west-1:210987654321:repository/robots/isaac"
    assert pulls(given) == {Allowed(action, other) for action in _PULL}
    assert pulls(embedded) == set()


def test_other_sources_are_another_tag_and_what_is_uploaded_is_what_the_image_needs(aws: Synthesis) -> None:
    tag = aws.resource("Custom::GaitwayImage").properties["ImageTag"]
    (sources,) = aws.directory.glob(f"asset.{tag}*")
    files = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    assert {"container/Dockerfile", "container/entrypoint.sh"} <= files
    assert {"container/requirements.txt", "container/requirements-isaaclab.txt"} <= files
    assert {"container/runner/__main__.py", "gaitway/contracts/run.py", "gaitway/outputs/upload.py"} <= files
    assert {name.partition("/")[0] for name in files} == {"container", "gaitway"}
    assert not {name for name in files if "__pycache__" in name or "/local/" in name or "/cli/" in name}


def test_the_build_has_room_and_an_end_before_cloudformation_gives_up(aws: Synthesis, project: dict[str, Any]) -> None:
    environment = project["Environment"]
    assert (environment["ComputeType"], environment["PrivilegedMode"]) == ("BUILD_GENERAL1_LARGE", True)
    assert project["Cache"]["Modes"] == ["LOCAL_DOCKER_LAYER_CACHE"]
    wait_seconds = int(aws.resource("Custom::GaitwayImage").properties["ServiceTimeout"])
    assert (project["TimeoutInMinutes"] + project["QueuedTimeoutInMinutes"]) * 60 < wait_seconds <= 3600


def test_the_build_is_told_of_the_licence_and_of_no_secret(project: dict[str, Any]) -> None:
    variables = {item["Name"]: item["Value"] for item in project["Environment"]["EnvironmentVariables"]}
    assert variables.keys() == {"ACCEPT_EULA", "REPOSITORY_URI", "TARGET"}
    assert variables["ACCEPT_EULA"] == "Y"
    commands = json.loads(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    assert "--build-arg ACCEPT_EULA=" in commands[0]


def test_the_repository_scans_forgets_and_goes_with_its_images(aws: Synthesis) -> None:
    repository = aws.resource("AWS::ECR::Repository")
    properties = repository.properties
    assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert properties["ImageTagMutability"] == "IMMUTABLE"
    (rule,) = json.loads(properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["countNumber"] == 3
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
    assert {grant.action.partition(":")[0] for grant in allowed} == {"ecr", "logs", "s3"}


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
