"""The fields of a model, for a page: allowed values, default and meaning.

The meaning is the docstring below the field in the source.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from gaitway.contracts.spellings import SPELLING
from gaitway.contracts.workload import CONFIGS, WorkloadConfig
from handbook.page import cell

WORKLOADS = "TrainingConfig"
"""Title of the schema of what any workload is asked for."""

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings below the fields of a model, one line each, by the fields' names in Python."""
    texts: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner is BaseModel or not issubclass(owner, BaseModel):
            continue
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, after in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and statement.target.id in model.model_fields
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                texts[statement.target.id] = " ".join(str(after.value.value).split())
    return texts


def described_schema(model: type[BaseModel]) -> Schema:
    """Make the JSON Schema of a model, with the docstring of each field, and without pydantic's own titles."""
    schema = model.model_json_schema(by_alias=True)
    _name_workloads(schema)
    definitions = schema.get("$defs", {})
    for name, part in (*definitions.items(), (model.__name__, schema)):
        owner = _model_named(model, name)
        if owner is None:
            continue
        part["description"] = " ".join((owner.__doc__ or "").split())
        texts = field_texts(owner)
        for attribute, field in owner.model_fields.items():
            if attribute in texts:
                part["properties"][field.alias or attribute]["description"] = texts[attribute]
    _drop_titles(schema)
    return schema


def _name_workloads(schema: Schema) -> None:
    """Make a definition of what any workload is asked for, and say of each field what it means, and to whom."""
    for name, part in schema["properties"].items():
        if part.get("title") == WORKLOADS and "properties" in part:
            part["description"] = "What to do, and how: the fields of all modes."
            for key, text in _workload_texts().items():
                part["properties"][key]["description"] = text
            schema.setdefault("$defs", {})[WORKLOADS] = part
            schema["properties"][name] = {"$ref": f"#/$defs/{WORKLOADS}"}


def _workload_texts() -> dict[str, str]:
    texts: dict[str, str] = {}
    for mode, config in CONFIGS.items():
        for name, text in (field_texts(config) | field_texts(WorkloadConfig)).items():
            is_shared = all(name in other.model_fields for other in CONFIGS.values())
            texts[config.alias_of(name)] = text if is_shared else f"{text} (mode `{mode}`)"
    return texts


def with_empty(schema: Schema) -> Schema:
    """Let every field of a schema's objects also be null or an empty text, which both mean that it is not set."""
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            notes = {key: field.pop(key) for key in ("default", "description") if key in field}
            choices = field["anyOf"] if field.keys() == {"anyOf"} else [field]
            empty = [value for value in (None, "") if {"type": "null"} not in choices or value == ""]
            part["properties"][name] = {"anyOf": [*choices, {"enum": empty, "$comment": SPELLING}], **notes}
    return schema


def table(model: type[BaseModel] | Schema, links: Mapping[str, str], *, defaults: bool = True) -> str:
    """Write the fields of a model as a table in Markdown.

    Args:
        model: The model, or its schema.
        links: Anchors of other models on the page, by their names.
        defaults: Whether the table has a column for defaults: it has none for a document that is only read.
    """
    schema = model if isinstance(model, dict) else described_schema(model)
    required = schema.get("required", ())
    columns = ("field", "allowed values", "default", "meaning") if defaults else ("field", "type", "meaning")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, part in schema["properties"].items():
        cells = [f"`{name}`", allowed(part, links)]
        if defaults:
            cells.append("required" if name in required else _default(part))
        cells.append(cell(part.get("description", "")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def allowed(part: Schema, links: Mapping[str, str]) -> str:
    """Say in words what a part of a schema allows."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}]({links[name]})" if name in links else str(name)
    if "anyOf" in part or "oneOf" in part:
        listed = part.get("anyOf") or part["oneOf"]
        choices = [choice for choice in listed if choice.get("$comment") != SPELLING]
        return " or ".join(_choices(choices, links))
    if "enum" in part or "const" in part:
        return ", ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    match part.get("type"):
        case "integer" | "number":
            return f"{part['type']}{_range(part)}"
        case "string":
            return _text(part)
        case "array":
            items = allowed(part.get("items") or part.get("prefixItems", [{}])[0], links)
            return f"list: {items}"
        case "object":
            values = part.get("additionalProperties") or next(iter(part.get("patternProperties", {}).values()), None)
            return f"object: {allowed(values, links)} by name" if isinstance(values, dict) else "object"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
    return "any"


def _choices(choices: Sequence[Schema], links: Mapping[str, str]) -> Iterator[str]:
    """Say what each choice allows: one value, then a list of such values, then null."""
    order = ("array", "null")
    for choice in sorted(
        choices, key=lambda choice: order.index(choice["type"]) if choice.get("type") in order else -1
    ):
        if choice.get("type") == "array" and choice.get("items") in choices:
            yield (
                f"a list of {choice.get('minItems', 0)} to {choice['maxItems']}"
                if "maxItems" in choice
                else "a list of them"
            )
        else:
            yield allowed(choice, links)


def _range(part: Schema) -> str:
    below = part.get("minimum"), part.get("maximum")
    if None not in below:
        return f" from {below[0]:,} to {below[1]:,}"
    words = [
        f"{word} {part[key]:,}"
        for key, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in part
    ]
    return f" {', '.join(words)}" if words else ""


def _text(part: Schema) -> str:
    if part.get("format") == "date-time":
        return "time (ISO 8601)"
    if part.get("format") == "s3-uri":
        return "S3 URI"
    words = [part.get("patternErrorMessage", "text").removeprefix("must be ")]
    if "maxLength" in part:
        words.append(f"at most {part['maxLength']:,} characters")
    return ", ".join(words)


def _default(part: Schema) -> str:
    if "default" not in part:
        return "see below" if "$ref" in part else "empty"
    default = part["default"]
    if isinstance(default, list):
        return "<br>".join(f"`{value}`" for value in default) or "empty"
    return f"`{json.dumps(default)}`"


def _model_named(root: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Find a model among those that the fields of another one hold."""
    if root.__name__ == name:
        return root
    for field in root.model_fields.values():
        for held in _models_in(field.annotation):
            if held is not root and (found := _model_named(held, name)):
                return found
    return None


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _drop_titles(part: object) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for value in part.values():
            _drop_titles(value)
