"""The settings of a task with a request's Hydra overrides, each checked: Isaac Lab 3.0 accepts unknown keys silently.

`register_task` of isaaclab_tasks/utils/hydra.py sets an attribute of any name, with a value of any type.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.overrides import CHOICES, TREES, key_of
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.simulators.common.isaaclab.tasks import agent_entry_point
from gaitway.simulators.common.recorded import recorded_overrides
from gaitway.simulators.isaaclab3.tasks import physics_preset

_PHYSICS = "physics"
_NEAREST = 3


@dataclasses.dataclass(frozen=True)
class TaskSettings:
    """A task's settings, as a request wants them."""

    env: Any
    """An instance of the environment's configuration class."""
    agent: Any
    """The library's: an instance of a configuration class, or a dictionary."""
    arguments: tuple[str, ...]
    """What Isaac Lab's command line is given for them."""
    given: frozenset[str]
    """The keys that the request sets."""


def read_settings(task: str, job: SimulationJob, *, play_mode: bool = False) -> TaskSettings:
    """Read a task's settings, and apply a request's overrides.

    Args:
        task: The task's name.
        job: The request.
        play_mode: Whether the task's own changes for playing apply: without noise, with fewer obstacles.

    Raises:
        RequestError: An override's key does not exist, or its value is of another kind; the task has no Newton physics.
    """
    from isaaclab_tasks.utils import resolve_task_config

    training = job.asks(LibraryConfig)
    wanted = training.hydra_overrides
    keys = [key_of(override) for override in wanted]
    preset = None if _PHYSICS in keys else physics_preset(task)
    selecting = [] if preset is None else [f"{_PHYSICS}={preset}"]
    alternatives = _alternatives(task, training)
    chosen = [
        override
        for override, key in zip(wanted, keys, strict=True)
        if key in CHOICES or (key in alternatives and isinstance(_value(override), str))
    ]
    entry = agent_entry_point(training.rl_library)
    try:
        env, agent = resolve_task_config(task, entry, overrides=[*selecting, *chosen])
        roots = dict(zip(TREES, (env, agent), strict=True))
        for override in wanted:
            if override not in chosen:
                _check(override, roots)
        # In front of the request's own, which take precedence.
        recorded = recorded_overrides(job, agent if isinstance(agent, dict) else agent.to_dict())
        wanted = [*recorded, *wanted]
        env, agent = resolve_task_config(task, entry, play_mode=play_mode, overrides=[*selecting, *wanted])
    except ValueError as error:
        # An alternative that does not exist: Isaac Lab lists those that do.
        raise RequestError(f"hydraOverrides: {error}") from error
    return TaskSettings(env, agent, (*selecting, *wanted), frozenset(keys))


def _alternatives(task: str, training: LibraryConfig) -> set[str]:
    """Return the keys below which a name selects one of several alternatives."""
    from isaaclab_tasks.utils import load_cfg_from_registry
    from isaaclab_tasks.utils.hydra import collect_presets

    entries = ("env_cfg_entry_point", agent_entry_point(training.rl_library))
    return {
        f"{root}.{path}" if path else root
        for root, entry in zip(TREES, entries, strict=True)
        for path in collect_presets(load_cfg_from_registry(task, entry))
    }


def _value(override: str) -> Any:  # noqa: ANN401
    """Parse an override's value as Isaac Lab does."""
    from isaaclab_tasks.utils.hydra import _parse_val

    return _parse_val(override.partition("=")[2])


def _check(override: str, roots: dict[str, Any]) -> None:
    key = key_of(override)
    if override.startswith("~"):
        if dataclasses.is_dataclass(roots[key.partition(".")[0]]):
            raise RequestError(
                f"hydraOverrides: {override!r} deletes a key, which changes nothing here: set it to null"
            )
        _find(key, roots)
        return
    if override.startswith("+"):
        # Hydra adds it, and refuses it where the configuration class has no such field.
        return
    current, value = _find(key, roots), _value(override)
    if value is None or isinstance(current, str) or current is None:
        return
    allowed = _kind(current)
    if allowed is not None and allowed != _kind(value):
        raise RequestError(f"hydraOverrides: {key} is {override.partition('=')[2]!r}, allowed: {allowed}")


def _kind(value: Any) -> str | None:  # noqa: ANN401
    """Say in words what kind of value this is; None if any may take its place."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list | tuple):
        return "a list, as [1, 2]"
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return "null; it is a group of settings, each of which has a key of its own"
    return "text" if isinstance(value, str) else None


def _find(key: str, roots: dict[str, Any]) -> Any:  # noqa: ANN401
    value: Any = roots
    for part in key.split("."):
        children = _children(value)
        if part not in children:
            raise _unknown(key, roots)
        value = children[part]
    return value


def _unknown(key: str, roots: dict[str, Any]) -> RequestError:
    known = list(_keys(roots, ""))
    same_end = [candidate for candidate in known if candidate.rpartition(".")[2] == key.rpartition(".")[2]]
    nearest = difflib.get_close_matches(key, same_end or known, n=_NEAREST, cutoff=0)
    return RequestError(
        f"hydraOverrides: {key} is not a key of this task's settings (did you mean {nearest[0]}?), nearest: "
        f"{', '.join(nearest)}"
    )


def _keys(value: Any, prefix: str) -> Iterator[str]:  # noqa: ANN401
    for name, child in _children(value).items():
        yield f"{prefix}{name}"
        yield from _keys(child, f"{prefix}{name}.")


def _children(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {str(name): child for name, child in value.items()}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return {}
    # Isaac Lab's classes may also have attributes that a task sets without declaring them.
    return {name: child for name, child in vars(value).items() if not name.startswith("_")}
