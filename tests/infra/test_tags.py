"""Tags of the deployment: on everything that may have other tags later without being replaced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from tests.infra.conftest import Synthesise
from tests.infra.deployments import TAGS, settings_of
from tests.infra.templates import Resource, Synthesis


@pytest.fixture(scope="module")
def tagged(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("tagged"))


def tags_in(value: object) -> dict[str, str]:
    """Read tags as a template writes them, in either of the two ways."""
    if isinstance(value, dict):
        return value
    assert isinstance(value, list)
    return {tag["Key"]: tag["Value"] for tag in value}


def test_what_is_tagged_stays_when_its_tags_change(tagged: Synthesis) -> None:
    tag_property_of = {resource.type: _tag_property(resource) for resource in tagged.resources()}
    kept = {type_: name for type_, (name, is_kept) in tag_property_of.items() if name and is_kept}
    assert len(kept) > 20
    for resource in tagged.resources():
        if resource.type in kept:
            assert TAGS.items() <= tags_in(resource.properties.get(kept[resource.type])).items(), resource.name
        elif resource.type != "AWS::EC2::LaunchTemplate":
            assert not any(value in json.dumps(resource.attributes) for value in TAGS.values()), resource.name


def _tag_property(resource: Resource) -> tuple[str | None, bool]:
    """Say by which property CloudFormation tags a type, and whether another value replaces nothing."""
    if resource.type.startswith("Custom::"):
        return None, False
    schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource.type).schema
    tagging = schema.get("tagging", {"taggable": "Tags" in schema["properties"], "tagProperty": "/properties/Tags"})
    path = tagging.get("tagProperty", "/properties/Tags")
    if not tagging.get("taggable", True) or path.rpartition("/")[2] not in schema["properties"]:
        return None, False
    return path.rpartition("/")[2], path not in schema.get("createOnlyProperties", [])


def test_instances_and_their_volumes_are_tagged(tagged: Synthesis) -> None:
    templates = tagged.resources("AWS::EC2::LaunchTemplate")
    by_id = {template.name: template.properties["LaunchTemplateData"]["TagSpecifications"] for template in templates}
    for name, specifications in by_id.items():
        assert {one["ResourceType"] for one in specifications} == {"instance", "volume"}, name
        for one in specifications:
            assert TAGS.items() <= tags_in(one["Tags"]).items(), name
    for environment in tagged.resources("AWS::Batch::ComputeEnvironment"):
        template = environment.properties["ComputeResources"]["LaunchTemplate"]
        assert tagged.text(environment.stack, template["LaunchTemplateId"]).strip("<>") in by_id


def test_no_stack_has_tags_to_pass_on(tagged: Synthesis) -> None:
    manifest = json.loads((tagged.directory / "manifest.json").read_text(encoding="utf-8"))
    stacks = [artifact for artifact in manifest["artifacts"].values() if artifact["type"] == "aws:cloudformation:stack"]
    assert stacks
    assert [stack for stack in stacks if stack["properties"].get("tags")] == []
