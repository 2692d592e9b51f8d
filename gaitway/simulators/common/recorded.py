"""The network's settings of a given checkpoint, from the `params/agent.yaml` of the training that wrote it.

A training that changed the size of its networks records that there. Without it, a request would have to repeat the
`hydraOverrides` of a training that somebody else has done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from gaitway.contracts.inputs import AGENT_SETTINGS
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.libraries import RlLibrary, record_of

_MAX_BYTES = 1024**2
_MAX_ITEMS, _MAX_DEPTH = 64, 3
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)
"""Text that means the same in YAML and in Hydra's grammar; any other is not needed for a network."""
_LAYERS = ("layers", "activations")
"""What of skrl's networks decides about their size; releases differ in the name of the input."""
_MISSING = object()


def recorded_overrides(job: SimulationJob, agent: Mapping[str, Any]) -> list[str]:
    """Return the recorded settings of the networks that differ from a task's, as Hydra's overrides.

    What the request overrides itself is left out. So is what the task does not have, or what cannot be read: a
    checkpoint that does not fit is refused when it is loaded.

    Args:
        job: What the runner asks for.
        agent: The task's settings for this library, as plain values.
    """
    path = job.inputs.get(AGENT_SETTINGS)
    if path is None:
        return []
    training = job.asks(LibraryConfig)
    given = {override.lstrip("+~").partition("=")[0] for override in training.hydra_overrides}
    found = [
        f"{key}={text}"
        for key, text in _differences(training.rl_library, _read(path), agent).items()
        if not any(key == each or key.startswith(f"{each}.") for each in given)
    ]
    if found:
        print(f"The checkpoint's own settings are used: {', '.join(found)}", flush=True)  # noqa: T201
    return found


def _differences(library: RlLibrary, recorded: object, agent: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for key, *others in record_of(library).settings.networks:
        current = _value(agent, key)
        value = next((each for name in (key, *others) if (each := _value(recorded, name)) is not _MISSING), _MISSING)
        if _is_networks(current) and _is_networks(value) and len(current) == len(value):
            value = [
                ours | {name: theirs[name] for name in _LAYERS if name in theirs}
                for ours, theirs in zip(current, value, strict=True)
            ]
        text = _text(value)
        is_alike = isinstance(current, list | tuple) == isinstance(value, list | tuple)
        if current is not _MISSING and is_alike and text is not None and text != _text(current):
            found[f"agent.{key}"] = text
    return found


def _value(settings: object, key: str) -> Any:  # noqa: ANN401
    for name in key.split("."):
        if not isinstance(settings, Mapping) or name not in settings:
            return _MISSING
        settings = settings[name]
    return settings


def _is_networks(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _text(value: object, depth: int = 0) -> str | None:
    """Write a value so that YAML and Hydra read it alike; None if it is nothing that a network needs."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return value if _WORD.fullmatch(value) else None
    if depth == _MAX_DEPTH or not isinstance(value, dict | list | tuple) or len(value) > _MAX_ITEMS:
        return None
    if isinstance(value, dict):
        keys, items = list(value), list(value.values())
        texts = [_text(item, depth + 1) for item in items]
        if not all(isinstance(key, str) and _WORD.fullmatch(key) for key in keys) or None in texts:
            return None
        return "{" + ", ".join(f"{key}: {text}" for key, text in zip(keys, texts, strict=True)) + "}"
    texts = [_text(item, depth + 1) for item in value]
    return None if None in texts else f"[{', '.join(filter(None, texts))}]"


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - it is a safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        print(f"{path.name} of the checkpoint's training is not used: {' '.join(str(error).split())}")  # noqa: T201
        return None


class _Loader(yaml.SafeLoader):
    """Reads Python's own tags, which Isaac Lab writes, as what they hold; it creates no objects."""


def _plain(loader: _Loader, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    # The name of a function or a class.
    return _MISSING


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)
_Loader.add_multi_constructor("!", _plain)
