"""The image's custom resource: the real template, function, policies and build spec, on the emulator's CloudFormation.

A build runs its commands on this machine, where stand-ins take the place of `aws` and `docker`; what the latter pushes
is an image to the emulator's ECR.
"""

from __future__ import annotations

import json
import queue
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.settings import Settings
from lambdas.build_image import handler as function
from lambdas.build_image.event import ImageEvent
from lambdas.build_image.logic import ImageBuilder
from tests.infra.deployments import new_app
from tests.local.build_tools import BuildTools
from tests.local.emulator import Emulator
from tests.local.one_stack import SETTINGS as FUNCTIONS_HERE
from tests.local.one_stack import Json, OneStack, answers_received

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    import aws_cdk as cdk

SETTINGS = FUNCTIONS_HERE.model_copy(update={"simulators": ("isaaclab-2",)})
REPOSITORY = "gaitway"
RESOURCE = "Custom::GaitwayImage"


@dataclass
class World:
    """The part of our stacks that builds the image."""

    emulator: Emulator
    stack: OneStack
    tools: BuildTools

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    @property
    def template(self) -> Json:
        return self.tools.used_by(self.stack.template)

    @property
    def tag(self) -> str:
        (image,) = [item for item in self.template["Resources"].values() if item["Type"] == RESOURCE]
        tag: str = image["Properties"]["ImageTag"]
        return tag

    def without_image(self) -> Json:
        """The same stack before anything is built."""
        kept = {name: item for name, item in self.template["Resources"].items() if item["Type"] != RESOURCE}
        return {"Resources": kept}

    def forget_image(self) -> None:
        """Go back to where nothing is built, whatever an earlier test has left."""
        try:
            self.stack.deploy(self.without_image())
        except ClientError as error:
            if "No updates" not in str(error):
                raise
        self.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": self.tag}])

    def builds(self) -> int:
        return len(self.client("codebuild").list_builds_for_project(projectName="gaitway-image")["ids"])


@pytest.fixture(scope="module")
def world(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The stack without an image, and its assets."""
    stack = synthesised(tmp_path_factory.mktemp("image"), "ImageOfTheJob")
    world = World(emulator, OneStack(emulator, stack), BuildTools(tmp_path_factory.mktemp("tools")))
    assert world.stack.deploy(world.without_image())["StackStatus"] == "CREATE_COMPLETE"
    return world


def synthesised(directory: Path, name: str, settings: Settings = SETTINGS) -> cdk.Stack:
    """Synthesise what builds the image, as a stack of its own."""
    import aws_cdk as cdk

    from stacks.components.image_build import ImageBuild

    stack = cdk.Stack(new_app(directory), name)
    for simulator, image in ImageBuild(stack, "ImageBuild", settings).images.items():
        cdk.CfnOutput(stack, f"ImageUri{simulator}", value=image.uri)
    return stack


def test_each_simulator_has_an_image_from_its_own_stage_and_one_is_built_after_the_other(
    emulator: Emulator, tmp_path: Path
) -> None:
    stack = OneStack(emulator, synthesised(tmp_path / "cdk.out", "BothSimulators", FUNCTIONS_HERE))
    (tmp_path / "tools").mkdir()
    tools = BuildTools(tmp_path / "tools")
    deployed = stack.deploy(tools.used_by(renamed(stack.template, "both-")))
    assert deployed["StackStatus"] == "CREATE_COMPLETE"
    builds = [call["arguments"] for call in tools.calls() if call["arguments"][0] in ("build", "push")]
    assert [arguments[0] for arguments in builds] == ["build", "push"] * 2
    assert [arguments[arguments.index("--target") + 1] for arguments in builds[::2]] == ["isaaclab-3", "isaaclab"]
    assert [arguments[1].rpartition(":")[2].rpartition("-")[0] for arguments in builds[1::2]] == [
        "isaaclab-3",
        "isaaclab-2",
    ]
    assert len({output["OutputValue"] for output in deployed["Outputs"]}) == 2
    stack.delete()


REFUSED = """#3 [internal] load metadata for nvcr.io/nvidia/isaac-lab:2.3.2
#3 ERROR: unexpected status from HEAD request to https://nvcr.io/v2/nvidia/isaac-lab/manifests/2.3.2: 401 Unauthorized
------
Dockerfile:36
--------------------
  36 | >>> FROM ${ISAAC_LAB_IMAGE} AS isaaclab
--------------------
ERROR: failed to build: failed to solve: failed to resolve source metadata: 401 Unauthorized
"""


def test_a_first_deployment_whose_build_fails_ends_with_the_last_lines_of_its_log_and_that_log_stays(
    emulator: Emulator, tmp_path: Path
) -> None:
    stack = OneStack(emulator, synthesised(tmp_path / "cdk.out", "FirstDeployment"))
    (tmp_path / "tools").mkdir()
    tools = BuildTools(tmp_path / "tools")
    tools.fail("docker", "build", REFUSED)
    # One repository and one project of each name are there already, from the other tests' stack.
    template = tools.used_by(renamed(stack.template, "first-"))
    assert stack.deploy(template)["StackStatus"] == "ROLLBACK_COMPLETE"
    (reason,) = [reason for reason in stack.reasons() if "The build of the image ended as FAILED in BUILD" in reason]
    assert "set ngcSecretArn" in reason
    for line in REFUSED.splitlines():
        assert line in reason
    assert "[Container]" not in reason
    log = re.search(r"log group (\S+), stream ([^\s,]+)", reason)
    assert log is not None
    events = emulator.client("logs").get_log_events(logGroupName=log[1], logStreamName=log[2])["events"]
    assert any("401 Unauthorized" in event["message"] for event in events)
    # A second attempt finds nothing in its way.
    stack.delete()
    tools.succeed()
    assert stack.deploy(template)["StackStatus"] == "CREATE_COMPLETE"
    stack.delete()


def renamed(template: Json, prefix: str) -> Json:
    """Give what has a name another one."""
    text = json.dumps(template)
    for name in ("gaitway-image", "gaitway-build-image"):
        text = text.replace(name, f"{prefix}{name}")
    changed: Json = json.loads(text.replace('"RepositoryName": "gaitway"', f'"RepositoryName": "{prefix}gaitway"'))
    return changed


def test_the_build_logs_in_to_nvidias_registry_with_a_key_that_nobody_else_sees(
    emulator: Emulator, tmp_path: Path
) -> None:
    key = f"nvapi-{uuid.uuid4().hex}"
    secrets = emulator.client("secretsmanager")
    secret = secrets.create_secret(Name="robots/ngc", SecretString=key)["ARN"]
    settings = SETTINGS.model_copy(update={"ngc_secret_arn": secret})
    stack = OneStack(emulator, synthesised(tmp_path / "cdk.out", "WithAccount", settings))
    (tmp_path / "tools").mkdir()
    tools = BuildTools(tmp_path / "tools")
    template = tools.used_by(renamed(stack.template, "ngc-"))
    assert stack.deploy(template)["StackStatus"] == "CREATE_COMPLETE"
    own, nvidias = [call for call in tools.calls() if (call["tool"], call["arguments"][0]) == ("docker", "login")]
    assert nvidias["arguments"] == ["login", "nvcr.io", "--username", "$oauthtoken", "--password-stdin"]
    assert nvidias["stdin"].strip() == key
    assert "nvcr.io" not in own["arguments"]
    assert not [call for call in tools.calls() if key in str(call["arguments"])]
    assert key not in json.dumps(template)
    assert key not in "".join(build_log(emulator, "ngc-gaitway-image"))
    # A secret that is gone is named in the deployment's error.
    stack.delete()
    secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    assert stack.deploy(template)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("the secret that ngcSecretArn names" in reason for reason in stack.reasons())
    stack.delete()


def build_log(emulator: Emulator, project: str) -> list[str]:
    """Read the log of a project's newest build."""
    codebuild, logs = emulator.client("codebuild"), emulator.client("logs")
    build, *_ = codebuild.list_builds_for_project(projectName=project)["ids"]
    log = codebuild.batch_get_builds(ids=[build])["builds"][0]["logs"]
    events = logs.get_log_events(logGroupName=log["groupName"], logStreamName=log["streamName"])["events"]
    return [event["message"] for event in events]


def test_sources_in_a_bootstrap_bucket_with_a_key_of_the_account_are_read(emulator: Emulator, tmp_path: Path) -> None:
    s3, bucket = emulator.client("s3"), f"cdk-hnb659fds-assets-{ACCOUNT_ID}-{REGION}"
    stack = OneStack(emulator, synthesised(tmp_path / "cdk.out", "WithKey"))
    (tmp_path / "tools").mkdir()
    template = BuildTools(tmp_path / "tools").used_by(renamed(stack.template, "key-"))
    key = f"arn:aws:kms:{REGION}:{ACCOUNT_ID}:key/{uuid.uuid4()}"
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    try:
        assert stack.deploy(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons()
    finally:
        s3.delete_bucket_encryption(Bucket=bucket)
    stack.delete()


def test_a_build_that_leaves_no_image_fails_the_deployment_and_says_why(world: World) -> None:
    world.forget_image()
    world.tools.fail("docker", "push", "The push refers to a repository of nobody")
    try:
        stack = world.stack.deploy(world.template)
    finally:
        world.tools.succeed()
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    reasons = world.stack.reasons()
    assert any("FAILED in POST_BUILD" in reason and "repository of nobody" in reason for reason in reasons), reasons


def test_an_image_is_built_once_and_is_named_by_its_digest(world: World) -> None:
    world.forget_image()
    stack = world.stack.deploy(world.template)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    (output,) = stack["Outputs"]
    digest = world.client("ecr").describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": world.tag}])
    assert output["OutputValue"].endswith(f"/{REPOSITORY}@{digest['imageDetails'][0]['imageDigest']}")
    # The next deployment finds it.
    built = world.builds()
    assert world.stack.deploy(world.without_image())["StackStatus"] == "UPDATE_COMPLETE"
    assert world.stack.deploy(world.template)["StackStatus"] == "UPDATE_COMPLETE"
    assert world.builds() == built


@dataclass
class Caller:
    """Who waits for an answer, as CloudFormation does."""

    url: str
    answers: queue.Queue[Json] = field(default_factory=queue.Queue)

    def event(self, tag: str, request_type: str = "Create", **more: str) -> Json:
        return {
            "RequestType": request_type,
            "RequestId": f"request-{tag}",
            "ResponseURL": self.url,
            "StackId": "stack",
            "LogicalResourceId": "Image",
            "ResourceType": RESOURCE,
            "ResourceProperties": {
                "ServiceToken": "arn",
                "ProjectName": "gaitway-image",
                "RepositoryName": REPOSITORY,
                "ImageTag": tag,
            },
            **more,
        }


@pytest.fixture
def caller() -> Iterator[Caller]:
    with answers_received() as (url, answers):
        yield Caller(url, answers)


class Context:
    """A call of the function that may take so long."""

    function_name = "gaitway-build-image"
    memory_limit_in_mb = 512
    invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function_name}"
    aws_request_id = "call"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


class Builds:
    """The emulator's CodeBuild, whose builds are in a state that a test names until they have been waited for once."""

    def __init__(self, world: World, status: str | None = None, **more: Any) -> None:
        self._changes: Json = {"buildStatus": status, **more} if status else {}
        self.slept: list[float] = []
        self.client = world.client("codebuild")
        self.client.meta.events.register("after-call.codebuild.BatchGetBuilds", self._described)
        self.builder = ImageBuilder(self.client, world.client("ecr"), world.client("logs"), self._sleep)

    def _described(self, parsed: Json, **_: Any) -> None:
        parsed["builds"][0] |= self._changes

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._changes = {}
        time.sleep(0.2)


def call(monkeypatch: pytest.MonkeyPatch, world: World, builds: Builds, event: Json, seconds: float) -> None:
    """Call the function in this process, with a CodeBuild of its own."""
    monkeypatch.setattr(function, "_builder", lambda: builds.builder)
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.emulator.endpoint_url)
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    function.handler(event, Context(seconds))  # type: ignore[arg-type]


def test_a_build_is_waited_for(monkeypatch: pytest.MonkeyPatch, world: World, caller: Caller) -> None:
    builds = Builds(world, "IN_PROGRESS")
    call(monkeypatch, world, builds, caller.event("waited"), seconds=900)
    answer = caller.answers.get(timeout=10)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", f"{REPOSITORY}:waited")
    assert answer["Data"]["ImageDigest"].startswith("sha256:")
    assert builds.slept[:4] == [1.0, 2.0, 4.0, 8.0][: len(builds.slept)]


def test_a_build_that_outlives_a_call_is_waited_for_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch, world: World, caller: Caller
) -> None:
    builds = Builds(world, "IN_PROGRESS")
    built = world.builds()
    call(monkeypatch, world, builds, caller.event("outlived"), seconds=70)
    # The deployed function answers: it was invoked with the build, and starts none.
    assert caller.answers.get(timeout=60)["Status"] == "SUCCESS"
    assert builds.slept == []
    assert world.builds() == built + 1


def test_a_failed_build_is_told_with_its_phase_and_its_log(
    monkeypatch: pytest.MonkeyPatch, world: World, caller: Caller
) -> None:
    phase = {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit status 1"}]}
    builds = Builds(world, "FAILED", phases=[phase], logs={"deepLink": "https://console/log"})
    call(monkeypatch, world, builds, caller.event("failed"), seconds=900)
    answer = caller.answers.get(timeout=10)
    assert answer["Status"] == "FAILED"
    for words in ("FAILED in BUILD: exit status 1", "https://console/log", "containerImageUri"):
        assert words in answer["Reason"]


def test_what_cannot_be_foreseen_is_told_too(monkeypatch: pytest.MonkeyPatch, world: World, caller: Caller) -> None:
    event = caller.event("unknown")
    event["ResourceProperties"]["ProjectName"] = "nowhere"
    call(monkeypatch, world, Builds(world), event, seconds=900)
    answer = caller.answers.get(timeout=10)
    assert answer["Status"] == "FAILED"
    assert "ResourceNotFoundException" in answer["Reason"]


def test_nothing_is_built_for_a_stack_that_goes(monkeypatch: pytest.MonkeyPatch, world: World, caller: Caller) -> None:
    built = world.builds()
    event = caller.event("gone", "Delete", PhysicalResourceId=f"{REPOSITORY}:before")
    call(monkeypatch, world, Builds(world), event, seconds=900)
    assert caller.answers.get(timeout=10) | {"Reason": ""} == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": f"{REPOSITORY}:before",
        "StackId": "stack",
        "RequestId": "request-gone",
        "LogicalResourceId": "Image",
        "Data": {},
    }
    assert world.builds() == built


def test_the_address_of_the_answer_is_in_no_representation(caller: Caller) -> None:
    assert caller.url not in repr(ImageEvent.model_validate(caller.event("secret")))
