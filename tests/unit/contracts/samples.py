"""Samples of documents, made from the schemas of their models."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaitway.contracts.model import Received
from gaitway.contracts.workload import LibraryConfig, WorkloadConfig

ROOT = Path(__file__).parents[3]
REQUESTS = ("TrainingConfig", "EvaluationConfig", "ComputeConfig", "VamsMessage")
"""Models of a request, and of its parts."""
_NEW_FIELD = "fieldOfTomorrow"
_FORMATS = {"date-time": "2026-11-26T12:00:00Z", "s3-uri": "s3://bucket/folder/"}
_PATTERNS = {
    "job_id": "hyperpod-slurm/run-0123456789abcdef0123-0123456789ab-2",
    "sha256": "a" * 64,
    "instance_type": "ml.g5.8xlarge",
    "priority_class": "normal",
    "team": "robots",
    "execution_arn": "arn:aws:states:eu-central-1:123456789012:execution:gaitway-pipeline:run-1-a",
}
"""By field: what its pattern allows."""


def models() -> list[type[Received]]:
    """Find every model of what is sent or stored, in all modules that define one."""
    for folder in ("gaitway", "gaitway/runner", "lambdas"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if re.search(r"^class \w+\(.*\b(Received|Stored|Document)\b.*\):", path.read_text("utf-8"), re.MULTILINE):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return sorted(set(_below(Received)), key=lambda model: model.__name__)


def sample(model: type[Received], *, with_more: bool = False) -> dict[str, Any]:
    """Write a document of a model: of what is a request in it, no more than it must have; of everything else, all.

    Args:
        model: The model.
        with_more: Put a field more into it, and into each object in it that is a model's.
    """
    schema = model.model_json_schema(by_alias=True)
    document: dict[str, Any] = _value(schema, schema.get("$defs", {}), "", with_more)
    return document


def optional_places(model: type[Received]) -> list[tuple[str | int, ...]]:
    """Find every field that a sample has and need not have."""
    schema = model.model_json_schema(by_alias=True)
    return list(_optional(schema, schema.get("$defs", {}), sample(model), ()))


def without(document: dict[str, Any], place: tuple[str | int, ...]) -> dict[str, Any]:
    """Take a field out of a document."""
    holder: Any = document
    for part in place[:-1]:
        holder = holder[part]
    del holder[place[-1]]
    return document


def _below(model: type[Received]) -> Iterator[type[Received]]:
    for child in model.__subclasses__():
        # Not the bases of others, nor what is made of others at run time.
        is_named = getattr(importlib.import_module(child.__module__), child.__name__, None) is child
        is_ours = child.__module__ != "gaitway.contracts.model" and not child.__module__.startswith("tests.")
        if is_named and is_ours and child not in (WorkloadConfig, LibraryConfig):
            yield child
        yield from _below(child)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return _resolved(next(one for one in schema["anyOf"] if one.get("type") != "null"), definitions)
    return schema


def _value(schema: dict[str, Any], definitions: dict[str, Any], name: str, with_more: bool) -> Any:
    schema = _resolved(schema, definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case "array":
            items = schema.get("prefixItems") or [schema["items"]]
            return [_value(item, definitions, name, with_more) for item in items]
        case "object" if "properties" in schema:
            fields = {key: _value(schema["properties"][key], definitions, key, with_more) for key in _keys(schema)}
            return fields | ({_NEW_FIELD: {"deep": [None]}} if with_more else {})
        case "object":
            values = schema.get("additionalProperties")
            return {"name": _value(values, definitions, name, with_more) if isinstance(values, dict) else 1}
    raise AssertionError(f"{name}: no sample of {schema}")


def _text(schema: dict[str, Any], name: str) -> str:
    if "format" in schema:
        return _FORMATS[schema["format"]]
    return _PATTERNS[name] if "pattern" in schema else "text"


def _keys(schema: dict[str, Any]) -> list[str]:
    is_request = schema["title"] in REQUESTS
    return [key for key in schema["properties"] if not is_request or key in schema.get("required", ())]


def _optional(
    schema: dict[str, Any], definitions: dict[str, Any], value: object, place: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    schema = _resolved(schema, definitions)
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema["items"]]
        for index, item in enumerate(value):
            yield from _optional(items[index], definitions, item, (*place, index))
    elif isinstance(value, dict) and "properties" in schema:
        for key, item in value.items():
            if key not in schema.get("required", ()):
                yield (*place, key)
            yield from _optional(schema["properties"][key], definitions, item, (*place, key))
