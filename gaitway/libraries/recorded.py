"""The settings in a training's `params/`, and overrides that contradict them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from gaitway.libraries.record import LibraryRecord

MAX_BYTES = 1024**2
SPACES = ("observation_space", "action_space", "state_space")
"""Sizes of Isaac Lab's direct tasks: isaaclab/envs/direct_rl_env_cfg.py."""
MISSING = object()
"""What is not there, or no plain value."""


def read_settings(text: str) -> object:
    """Read settings as Isaac Lab writes them, without creating any object.

    Raises:
        ValueError: It is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def setting(settings: object, key: str) -> Any:  # noqa: ANN401
    """Look up a setting by its names, joined by dots; `MISSING` if it is not there."""
    for name in key.split("."):
        if not isinstance(settings, Mapping) or name not in settings:
            return MISSING
        settings = settings[name]
    return settings


def contradictions(
    library: LibraryRecord, overrides: Iterable[str], agent: object, environment: object
) -> list[tuple[str, object]]:
    """List the overrides of a request that a checkpoint cannot have been trained with, each with what was recorded.

    Only what is certain counts: sizes and networks that both give, in the same form. A value in another form, as a
    class, or one list for both networks, is left to the simulator.

    Args:
        library: The library that wrote the checkpoint.
        overrides: The request's.
        agent: The `agent.yaml` of the checkpoint's training.
        environment: Its `env.yaml`.
    """
    given: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        given[key] = value
    recorded: dict[str, object] = {f"env.{name}": setting(environment, name) for name in SPACES}
    for names in library.settings.networks:
        values = [setting(agent, name) for name in names]
        known = next((value for value in values if value is not MISSING), MISSING)
        recorded |= {
            f"agent.{name}": known if value is MISSING else value for name, value in zip(names, values, strict=True)
        }
    return [
        (f"{key}={text}", recorded[key])
        for key, text in given.items()
        if key in recorded and _differ(_read_value(text), recorded[key])
    ]


def _read_value(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return MISSING


def _differ(given: object, trained: object) -> bool:
    match given, trained:
        case (bool(), bool()) | (int(), int()):
            return given != trained
        case str(), str():
            return given.lower() != trained.lower()
        case list(), list() if all(isinstance(size, int) for size in (*given, *trained)):
            return given != trained
    return False


class _Loader(yaml.SafeLoader):
    """Reads Python's own tags, which Isaac Lab writes, as what they hold; it creates no objects."""


def _plain(loader: _Loader, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    # The name of a function or a class.
    return MISSING


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)
_Loader.add_multi_constructor("!", _plain)
