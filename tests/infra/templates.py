"""Reading synthesised templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import aws_cdk as cdk

ROOT = Path(__file__).parents[2]
PSEUDO_PARAMETERS = {"AWS::Partition", "AWS::Region", "AWS::AccountId", "AWS::StackId", "AWS::URLSuffix"}


class Resource(NamedTuple):
    """One resource of a template."""

    stack: str
    name: str
    """Its path in the construct tree, without the stack: readable, and free of the logical id's hash."""
    type: str
    properties: dict[str, Any]
    attributes: dict[str, Any]
    """The whole resource, for what stands beside the properties."""


class Allowed(NamedTuple):
    """One action that a role may call on one resource."""

    action: str
    resource: str


@dataclass(frozen=True)
class Synthesis:
    """What the CDK wrote."""

    app: cdk.App
    directory: Path

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """The templates, by stack."""
        return {
            path.name.removesuffix(".template.json"): json.loads(path.read_text(encoding="utf-8"))
            for path in self.directory.glob("*.template.json")
        }

    def resources(self, type_: str | None = None) -> list[Resource]:
        """Every resource, or those of one type."""
        return [
            Resource(stack, _path(logical_id, body), body["Type"], body.get("Properties", {}), body)
            for stack, template in self.templates.items()
            for logical_id, body in template["Resources"].items()
            if type_ in (None, body["Type"])
        ]

    def resource(self, type_: str, name: str = "") -> Resource:
        """The one resource of a type whose path holds a name."""
        (found,) = [resource for resource in self.resources(type_) if name in resource.name]
        return found

    def outputs(self) -> dict[str, str]:
        """The outputs that are meant for people, by key, with their stack: exports are the CDK's own."""
        return {
            key: stack
            for stack, template in self.templates.items()
            for key, output in template.get("Outputs", {}).items()
            if "Export" not in output
        }

    def text(self, stack: str, value: object) -> str:
        """Write a value with its references in words: `<Launch/Function.Arn>/*`, `arn:<AWS::Partition>:…`.

        What depends on the partition is as in `aws`.
        """
        match value:
            case {"Ref": str(target)}:
                return self._reference(stack, target)
            case {"Fn::GetAtt": [str(target), str(attribute)]}:
                return self._reference(stack, target, attribute)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.text(stack, part) for part in parts)
            case {"Fn::Select": [int(index), {"Fn::Split": [str(separator), whole]}]}:
                return f"{self.text(stack, whole)}[{separator}{index}]"
            case {"Fn::ImportValue": str(export)}:
                return self._exports[export]
            case {"Fn::FindInMap": [str(mapping), {"Ref": "AWS::Partition"}, str(key)]}:
                return str(self.templates[stack]["Mappings"][mapping]["aws"][key])
            case {"Fn::Sub": str(text)}:
                return text.replace("${", "<").replace("}", ">")
            case str():
                return value
        raise AssertionError(f"unexpected in a template: {value!r}")

    def allowed(self, role: str | None = None) -> set[Allowed]:
        """What a role is allowed, or all of them together: every action with every resource.

        Args:
            role: Path of the role: `Launch/Role`.
        """
        return {
            Allowed(action, self.text(policy.stack, resource))
            for policy in self.resources("AWS::IAM::Policy")
            if role is None or policy.name == f"{role}/DefaultPolicy"
            for statement in policy.properties["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        }

    def needed_by(self, resource: Resource) -> set[str]:
        """Name what CloudFormation creates before a resource of the same stack: what it refers to, and waits for."""
        resources = self.templates[resource.stack]["Resources"]
        targets = {*_listed(resource.attributes.get("DependsOn", [])), *_referred_to(resource.attributes)}
        return {_path(target, resources[target]) for target in targets if target in resources}

    @cached_property
    def _exports(self) -> dict[str, str]:
        return {
            output["Export"]["Name"]: self.text(stack, output["Value"])
            for stack, template in self.templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    def _reference(self, stack: str, target: str, attribute: str | None = None) -> str:
        if target in PSEUDO_PARAMETERS:
            return f"<{target}>"
        path = _path(target, self.templates[stack]["Resources"][target])
        return f"<{path}.{attribute}>" if attribute else f"<{path}>"


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state of a machine, those within Map and Parallel too."""
    for name, state in definition["States"].items():
        yield name, state
        for inner in [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor"), state.get("Iterator")])]:
            yield from states(inner)


def batch_arn(resource: str, name: str) -> str:
    """The ARN of one of Batch's resources, as `Synthesis.text` writes it."""
    return f"arn:<AWS::Partition>:batch:<AWS::Region>:<AWS::AccountId>:{resource}/{name}"


def containers(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of a job definition, of one node or of several."""
    if "NodeProperties" not in definition:
        return [definition["ContainerProperties"]]
    return [node["Container"] for node in definition["NodeProperties"]["NodeRangeProperties"]]


def _referred_to(value: Any) -> Iterator[str]:
    """Yield the logical ids to which a part of a template refers."""
    match value:
        case {"Ref": str(target)} | {"Fn::GetAtt": [str(target), *_]}:
            yield target
        case {"Fn::Sub": str(text) | [str(text), *_]}:
            yield from re.findall(r"\$\{(\w+)", text)
        case dict():
            for inner in value.values():
                yield from _referred_to(inner)
        case list():
            for inner in value:
                yield from _referred_to(inner)


def _path(logical_id: str, body: dict[str, Any]) -> str:
    path: str | None = body.get("Metadata", {}).get("aws:cdk:path")
    return path.partition("/")[2].removesuffix("/Resource") if path else logical_id


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
