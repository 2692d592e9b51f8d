"""Tasks that a custom environment has registered with Gymnasium, by Isaac Lab's convention.

`gymnasium.register(id, entry_point, kwargs={"env_cfg_entry_point": ..., "<library>_cfg_entry_point": ...})`, where an
entry point is `module:Name`, the thing itself, or `module:file.yaml` for an agent of skrl or rl_games. Here the entry
point makes a `VectorEnvironment`, and configurations are frozen dataclasses.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gaitway.contracts.errors import RequestError
from gaitway.libraries import RlLibrary
from gaitway.simulators.embedded.agent_files import read_agent
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

_ENVIRONMENT = "env_cfg_entry_point"
_AGENT = "_cfg_entry_point"


def custom_tasks() -> dict[str, EnvSpec]:
    """List the registered tasks that follow the convention, by name."""
    # A package that has registered a task has already imported Gymnasium; without one, the slow import is skipped.
    gymnasium = sys.modules.get("gymnasium")
    registered: dict[str, EnvSpec] = gymnasium.registry if gymnasium is not None else {}
    return {name: spec for name, spec in registered.items() if _ENVIRONMENT in spec.kwargs}


def libraries_of(spec: EnvSpec) -> list[str]:
    """List the RL libraries that a task has settings for."""
    return [key.removesuffix(_AGENT) for key in spec.kwargs if key.endswith(_AGENT) and key != _ENVIRONMENT]


def environment_class(spec: EnvSpec) -> type[VectorEnvironment]:
    """Import a task's environment.

    Raises:
        RequestError: It is not an environment for this simulator.
    """
    found = _resolve(spec.id, "entry_point", spec.entry_point)
    if not (isinstance(found, type) and issubclass(found, VectorEnvironment)):
        raise RequestError(
            f"task {spec.id}: entry_point is {spec.entry_point}, which is not a VectorEnvironment: the embedded "
            "simulator runs no environments of Isaac Lab"
        )
    return found


def environment_config(spec: EnvSpec) -> Any:  # noqa: ANN401
    """Load the configuration of a task's environment.

    Raises:
        RequestError: It is not a configuration for this simulator.
    """
    return _config(spec, _ENVIRONMENT)


def agent_config(spec: EnvSpec, library: RlLibrary) -> Any:  # noqa: ANN401
    """Load a task's configuration of an agent.

    Raises:
        RequestError: It is not a configuration for this simulator.
    """
    key = f"{library}{_AGENT}"
    entry_point = spec.kwargs[key]
    if isinstance(entry_point, str) and entry_point.endswith((".yaml", ".yml")):
        module, _, file = entry_point.partition(":")
        origin = _resolve(spec.id, key, f"{module}:__file__")
        return read_agent(library, Path(cast("str", origin)).parent / file)
    return _config(spec, key)


def _config(spec: EnvSpec, key: str) -> Any:  # noqa: ANN401
    found = _resolve(spec.id, key, spec.kwargs[key])
    config = found() if isinstance(found, type) else found
    if not dataclasses.is_dataclass(config):
        raise RequestError(
            f"task {spec.id}: {key} is {spec.kwargs[key]}, which is not a dataclass: the embedded simulator reads no "
            "configurations of Isaac Lab"
        )
    return config


def _resolve(task: str, key: str, entry_point: object) -> object:
    """Import the object of an entry point; an error inside the imported module keeps its traceback."""
    if not isinstance(entry_point, str):
        return entry_point
    module_name, _, attribute = entry_point.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        reason = f"the module {error.name} does not exist"
    except AttributeError as error:
        reason = str(error)
    raise RequestError(f"task {task}: {key} is {entry_point!r}, which cannot be resolved: {reason}")
