"""Read an agent's settings from a YAML file, as Isaac Lab's tasks have them for skrl and rl_games."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from gaitway.contracts.errors import RequestError
from gaitway.libraries import RlLibrary
from gaitway.simulators.embedded.libraries import find_config
from gaitway.simulators.embedded.overrides import key_of


def read_agent(library: RlLibrary, path: Path) -> Any:  # noqa: ANN401
    """Read a file.

    Args:
        library: The library of the settings.
        path: The file.

    Returns:
        The library's `AgentConfig`.

    Raises:
        RequestError: Names the unknown key, or the allowed values.
    """
    config = find_config(library)
    if config.LEFT_OUT is None:
        raise RequestError(f"{path.name} holds settings for {library}, whose agents can be described only in Python")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return _build(config.AgentConfig, document, path.name, "", config.LEFT_OUT)


def _build(kind: Any, data: object, file: str, prefix: str, left_out: frozenset[str]) -> Any:  # noqa: ANN401
    """Create a dataclass from a group of settings."""
    if not isinstance(data, Mapping):
        raise RequestError(f"{file}: {prefix.rstrip('.') or 'the file'} is {data!r}, allowed: a group of settings")
    hints = typing.get_type_hints(kind, include_extras=True)
    names = {key_of(field.name): field.name for field in dataclasses.fields(kind)}
    values = {}
    for key, value in data.items():
        where = f"{prefix}{key}"
        if where in left_out:
            continue
        if key not in names:
            nearest = difflib.get_close_matches(str(key), names, n=1, cutoff=0)[0]
            raise RequestError(f"{file}: {where} is not a known key (did you mean {prefix}{nearest}?)")
        hint = hints[names[key]]
        values[names[key]] = (
            _build(hint, value, file, f"{where}.", left_out)
            if dataclasses.is_dataclass(hint)
            else _value(hint, value, file, where)
        )
    try:
        return kind(**values)
    except TypeError as error:
        raise RequestError(f"{file}: {prefix.rstrip('.') or 'the file'} is incomplete: {error}") from error


def _value(hint: Any, value: object, file: str, where: str) -> Any:  # noqa: ANN401
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise RequestError(f"{file}: {where} is {value!r}, allowed: {reason}") from None
