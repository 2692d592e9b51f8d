"""JSON documents that people write: read, merged, and refused if some service would change them."""

from __future__ import annotations

import json
import math
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.spellings import is_given

MAX_DEPTH = 32
"""A request has a depth of three. Python, pydantic and Step Functions each have a different limit."""
_MAX_WRAPPINGS = 2
_MAX_DIGITS = 1_000
"""Of an integer: Python reads more only if told so."""
MAX_VALUE_CHARACTERS = 80
"""A longer value is shortened in an error message."""


def parse_json_object(name: str, value: object) -> dict[str, Any]:
    """Read a JSON object that may come as text.

    Args:
        name: What it is, for an error message.
        value: The object, or its text.

    Raises:
        RequestError: It is neither an object nor the JSON text of one, or holds a value that JSON does not have.
    """
    # Some callers write the text of a JSON text.
    for _ in range(_MAX_WRAPPINGS):
        if isinstance(value, str | bytes):
            value = load_json(name, value)
    check_document(name, value)
    if not isinstance(value, dict):
        raise RequestError(f"{name} is {shorten(value)}, allowed: a JSON object")
    return value


def load_json(name: str, text: str | bytes, *, is_secret: bool = False) -> object:
    """Read JSON text, which may begin with a byte order mark; bytes may be UTF-8, UTF-16 or UTF-32.

    Args:
        name: What it is, for an error message.
        text: The text.
        is_secret: Whether an error message must not show the text.

    Raises:
        RequestError: It is not JSON, or an object in it has a key twice: all values but the last would be lost.
    """
    try:
        return read_json(text)
    except _DuplicateKeyError as error:
        raise RequestError(f"{name} has {error}") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} is not UTF-8 or UTF-16 ({error}): send a JSON object") from None
    except ValueError as error:
        shown = "text that" if is_secret else f"{shorten(text)}, which"
        raise RequestError(f"{name} is {shown} is not valid JSON ({error}): send a JSON object") from None


def read_json(text: str | bytes) -> object:
    """Read JSON text, as `load_json`.

    Args:
        text: The text.

    Raises:
        ValueError: It is not JSON, or an object in it has a key twice; the message says what is wrong and where.
    """
    if isinstance(text, bytes):
        # Windows PowerShell writes UTF-16 by default.
        text = text.decode(json.detect_encoding(text))
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits, allowed: {_MAX_DIGITS}")
    return int(digits)


class _DuplicateKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(f"the key {shorten(key)} twice in the same object: keep one")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(key)
        found[key] = value
    return found


def check_document(name: str, value: object) -> None:
    """Refuse what Python accepts as JSON, but other parsers do not.

    Raises:
        RequestError: It is nested too deeply, or holds NaN, an infinite number, or half of a surrogate pair.
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
                # No other JSON parser reads what Python writes for it.
                raise RequestError(f"{name} holds the number {part}, allowed: finite numbers")
            elif isinstance(part, str) and not _is_text(part):
                raise RequestError(f"{name} holds {shorten(part)}, half of a surrogate pair, allowed: Unicode text")
        if not below:
            return
        level = below
    raise RequestError(f"{name} is nested too deeply, allowed: {MAX_DEPTH} levels")


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two JSON objects, key by key: the second one wins where it gives a value, which null and "" do not."""
    merged = dict(below)
    for key, value in above.items():
        if key in merged and not is_given(value):
            continue
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
