"""JSON documents that people write: read, merged, and refused where not every service would pass them on unchanged."""

from __future__ import annotations

import json
import math
from typing import Any

from gaitway.contracts.errors import RequestError

MAX_DEPTH = 32
"""A request has a depth of three. Python, pydantic and Step Functions all end somewhere, each elsewhere."""
MAX_VALUE_CHARACTERS = 80
"""A longer value is shortened in an error message."""


def parse_json_object(name: str, value: object) -> dict[str, Any]:
    """Read a JSON object that may come as text.

    Args:
        name: What it is, for an error message.
        value: The object, or its text.

    Raises:
        RequestError: It is neither an object nor the JSON text of one, or holds what is no JSON.
    """
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise RequestError(f"{name} is {shorten(value)}, which is no JSON ({error}): send a JSON object") from None
        except RecursionError:
            raise RequestError(f"{name} is nested too deeply: send a JSON object as documented") from None
    check_document(name, value)
    if not isinstance(value, dict):
        raise RequestError(f"{name} is {shorten(value)}, allowed: a JSON object")
    return value


def check_document(name: str, value: object) -> None:
    """Refuse what Python reads as JSON, and others do not.

    Raises:
        RequestError: It is nested too deeply, or holds a number that is none, or half of a character.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for part in level:
            if isinstance(part, dict):
                below += [*part, *part.values()]
            elif isinstance(part, list):
                below += part
            elif isinstance(part, float) and not math.isfinite(part):
                # What Python writes for it, no other JSON parser reads.
                raise RequestError(f"{name} holds the number {part}, allowed: finite numbers")
            elif isinstance(part, str) and not _is_text(part):
                raise RequestError(f"{name} holds {shorten(part)}, half of a surrogate pair, allowed: Unicode text")
        if not below:
            return
        level = below
    raise RequestError(f"{name} is nested too deeply, allowed: {MAX_DEPTH} levels")


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two JSON objects; the second one wins, objects are merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        standing = merged.get(key)
        merged[key] = merge(standing, value) if isinstance(standing, dict) and isinstance(value, dict) else value
    return merged


def shorten(value: object) -> str:
    """Write a value for an error message."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}..."


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
