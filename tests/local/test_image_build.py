"""The image's custom resource: the real template, function and policies, asked by the emulator's CloudFormation.

CodeBuild reports success there at once, and builds nothing. What a build would do is done here: it pushes an image.
"""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gaitway.local.runtime import ACCOUNT_ID, REGION
from lambdas.build_image import handler as function
from lambdas.build_image.build import ImageBuilder
from lambdas.build_image.event import ImageEvent
from tests.infra.deployments import new_app
from tests.local.emulator import Emulator
from tests.local.one_stack import SETTINGS, Json, OneStack, answers_received

REPOSITORY = "gaitway"
RESOURCE = "Custom::GaitwayImage"


@dataclass
class World:
    """The part of our stacks that builds the image."""

    emulator: Emulator
    stack: OneStack

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    @property
    def template(self) -> Json:
        return self.stack.template

    @property
    def tag(self) -> str:
        (image,) = [item for item in self.template["Resources"].values() if item["Type"] == RESOURCE]
        tag: str = image["Properties"]["ImageTag"]
        return tag

    def without_image(self) -> Json:
        """The same stack before anything is built."""
        kept = {name: item for name, item in self.template["Resources"].items() if item["Type"] != RESOURCE}
        return {"Resources": kept}

    def push(self, tag: str) -> str:
        """Push an image, as a build does; return its digest."""
        manifest = json.dumps(
            {"schemaVersion": 2, "config": {"digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"}}
        )
        image = self.client("ecr").put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)["image"]
        digest: str = image["imageId"]["imageDigest"]
        return digest

    def builds(self) -> int:
        return len(self.client("codebuild").list_builds_for_project(projectName="gaitway-image")["ids"])


@pytest.fixture(scope="module")
def world(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The stack without an image, and its assets."""
    import aws_cdk as cdk

    from stacks.components.image_build import ImageBuild

    stack = cdk.Stack(new_app(tmp_path_factory.mktemp("image")), "ImageOfTheJob")
    cdk.CfnOutput(stack, "ImageUri", value=ImageBuild(stack, "ImageBuild", SETTINGS).image.uri)
    world = World(emulator, OneStack(emulator, stack))
    assert world.stack.deploy(world.without_image())["StackStatus"] == "CREATE_COMPLETE"
    return world


def test_a_build_that_leaves_no_image_fails_the_deployment_and_says_why(world: World) -> None:
    stack = world.stack.deploy(world.template)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    reasons = world.stack.reasons()
    assert any(f"has no image {world.tag}" in reason and "gaitway-image" in reason for reason in reasons), reasons
    assert world.builds() == 1


def test_an_image_that_is_there_is_not_built_again_and_is_named_by_its_digest(world: World) -> None:
    digest, built = world.push(world.tag), world.builds()
    stack = world.stack.deploy(world.template)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    (output,) = stack["Outputs"]
    assert output["OutputValue"].endswith(f"/{REPOSITORY}@{digest}")
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
    """CodeBuild as the emulator has it, where builds push an image, and take time or fail if a test says so."""

    def __init__(self, world: World, status: str = "SUCCEEDED", **more: Any) -> None:
        self._world, self._changes = world, {"buildStatus": status, **more}
        self.slept: list[float] = []
        self.client = world.client("codebuild")
        self.client.meta.events.register("after-call.codebuild.StartBuild", self._started)
        self.client.meta.events.register("after-call.codebuild.BatchGetBuilds", self._described)
        self.builder = ImageBuilder(self.client, world.client("ecr"), self._sleep)

    def _started(self, parsed: Json, **_: Any) -> None:
        self._world.push(self.tag)

    def _described(self, parsed: Json, **_: Any) -> None:
        parsed["builds"][0] |= self._changes

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._changes = {"buildStatus": "SUCCEEDED"}

    tag = ""


def call(monkeypatch: pytest.MonkeyPatch, world: World, builds: Builds, event: Json, seconds: float) -> None:
    """Call the function in this process, with a CodeBuild of its own."""
    builds.tag = event["ResourceProperties"]["ImageTag"]
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
    assert builds.slept == [15.0]


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
