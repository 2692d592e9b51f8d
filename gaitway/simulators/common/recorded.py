"""The network's settings of a given checkpoint, from the `params/agent.yaml` of the training that wrote it.

A training that changed the size of its networks records that there. Without it, a request would have to repeat the
`hydraOverrides` of a training that somebody else has done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from gaitway.contracts.inputs import AGENT_SETTINGS
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.recorded import MAX_BYTES, MISSING, read_settings, setting

_MAX_ITEMS, _MAX_DEPTH = 64, 3
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)
"""Text that means the same in YAML and in Hydra's grammar; any other is not needed for a network."""
_LAYERS = ("layers", "activations")
"""What of skrl's networks decides about their size; releases differ in the name of the input."""


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
        current = setting(agent, key)
        value = next((each for name in (key, *others) if (each := setting(recorded, name)) is not MISSING), MISSING)
        if _is_networks(current) and _is_networks(value) and len(current) == len(value):
            value = [
                ours | {name: theirs[name] for name in _LAYERS if name in theirs}
                for ours, theirs in zip(current, value, strict=True)
            ]
        text = _text(value)
        is_alike = isinstance(current, list | tuple) == isinstance(value, list | tuple)
        if current is not MISSING and is_alike and text is not None and text != _text(current):
            found[f"agent.{key}"] = text
    return found


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
        if path.stat().st_size > MAX_BYTES:
            return None
        return read_settings(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{path.name} of the checkpoint's training is not used: {error}")  # noqa: T201
        return None
