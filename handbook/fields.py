"""The fields of a model, for a page: what may stand in them, what stands there without, and what it means.

What it means is the text below the field in the source.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from handbook.page import cell, code

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Read the texts below the fields of a model, in one line each, by the fields' names in Python."""
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
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                texts[statement.target.id] = " ".join(str(after.value.value).split())
    return texts


def described_schema(model: type[BaseModel]) -> Schema:
    """Make the JSON Schema of a model, with what the source says of each field, and without pydantic's own titles."""
    schema = model.model_json_schema(by_alias=True)
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


def table(model: type[BaseModel], links: Mapping[str, str], *, defaults: bool = True) -> str:
    """Write the fields of a model as a table in Markdown.

    Args:
        model: The model.
        links: Where on the page other models stand, by their names.
        defaults: Whether there is a column for them: a document that is only read has none.
    """
    schema = described_schema(model)
    required = schema.get("required", ())
    columns = ("field", "what may stand there", "without it", "meaning") if defaults else ("field", "type", "meaning")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, part in schema["properties"].items():
        cells = [f"`{name}`", allowed(part, links)]
        if defaults:
            cells.append("refused" if name in required else _default(part))
        cells.append(cell(part.get("description", "")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def allowed(part: Schema, links: Mapping[str, str]) -> str:
    """Say in words what a part of a schema allows."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}]({links[name]})" if name in links else str(name)
    if "anyOf" in part:
        return " or ".join(allowed(choice, links) for choice in part["anyOf"])
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
            values = part.get("additionalProperties")
            return f"object: {allowed(values, links)} by name" if isinstance(values, dict) else "object"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
    return "any"


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
    words = ["text"]
    if "maxLength" in part:
        words.append(f"at most {part['maxLength']:,} characters")
    if "pattern" in part:
        words.append(code(part["pattern"]))
    return ", ".join(words)


def _default(part: Schema) -> str:
    if "default" not in part:
        return "see there" if "$ref" in part else "empty"
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
