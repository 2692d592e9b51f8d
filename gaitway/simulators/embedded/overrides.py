"""Hydra's overrides, applied to configurations that are frozen dataclasses.

Isaac Lab gives Hydra a tree of two configurations, `env` and `agent`. Ours have the same names, so an override that
works here means the same on Isaac Lab.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from gaitway.contracts.errors import RequestError
from gaitway.simulators.common.overrides import refuse_set_by_request

E = TypeVar("E")
A = TypeVar("A")


def apply_overrides(env: E, agent: A, overrides: list[str]) -> tuple[E, A]:
    """Return both configurations with every override applied.

    Args:
        env: The environment's configuration, a frozen dataclass.
        agent: The agent's configuration, a frozen dataclass.
        overrides: Hydra's `key=value`, with `env.` or `agent.` in front of the key.

    Raises:
        RequestError: Names the override and the nearest existing key, or the allowed values.
    """
    roots: dict[str, Any] = {"env": env, "agent": agent}
    for override in overrides:
        key, equals, text = override.removeprefix("++").partition("=")
        if key.startswith(("~", "+")) or not equals:
            raise RequestError(f"hydraOverrides: {override!r} adds or deletes a key, allowed here: key=value")
        refuse_set_by_request(key)
        if key not in known_keys(roots):
            raise RequestError(_unknown(key, known_keys(roots)))
        root, _, path = key.partition(".")
        roots[root] = _replace(roots[root], path.split("."), text, key)
    return roots["env"], roots["agent"]


def known_keys(roots: dict[str, Any]) -> list[str]:
    """List every key that holds a value, in the order of its declaration."""
    keys = []
    for name, value in roots.items():
        if dataclasses.is_dataclass(value):
            children = {key_of(field.name): getattr(value, field.name) for field in dataclasses.fields(value)}
            keys += [f"{name}.{key}" for key in known_keys(children)]
        else:
            keys.append(name)
    return keys


def key_of(field_name: str) -> str:
    """Name a field as Hydra and YAML do: only in Python do `lambda` and `class` need an underscore."""
    return field_name.removesuffix("_")


def _unknown(key: str, known: list[str]) -> str:
    group = [candidate for candidate in known if candidate.startswith(f"{key}.")]
    if group:
        return f"hydraOverrides: {key} is a group of settings, allowed: {', '.join(group)}"
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
    siblings = [candidate for candidate in known if candidate.rpartition(".")[0] == nearest.rpartition(".")[0]]
    return f"hydraOverrides: {key} is not a known key (did you mean {nearest}?), allowed: {', '.join(siblings)}"


def _replace(config: Any, path: list[str], text: str, key: str) -> Any:  # noqa: ANN401
    name, *rest = path
    name = next(field.name for field in dataclasses.fields(config) if key_of(field.name) == name)
    if rest:
        return dataclasses.replace(config, **{name: _replace(getattr(config, name), rest, text, key)})
    field_type = typing.get_type_hints(type(config), include_extras=True)[name]
    try:
        value = TypeAdapter(field_type).validate_python(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "a value of Hydra's grammar"
        raise RequestError(
            f"hydraOverrides: {key} is {text!r}, allowed: {reason.removeprefix('Input should be ')}"
        ) from None
    return dataclasses.replace(config, **{name: value})
