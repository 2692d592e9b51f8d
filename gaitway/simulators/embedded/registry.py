"""The tasks that can be trained and evaluated here, under the names that Isaac Lab gives them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from gaitway.contracts.errors import RequestError
from gaitway.libraries import RlLibrary
from gaitway.libraries.tasks import names_in_isaaclab2
from gaitway.simulators.common.custom_environment import Imported, unknown_task
from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment
from gaitway.simulators.embedded.cartpole.manager_based import (
    CartpoleManagerBasedConfig,
    CartpoleManagerBasedEnvironment,
)
from gaitway.simulators.embedded.custom_tasks import (
    agent_config,
    custom_tasks,
    environment_class,
    environment_config,
    libraries_of,
)
from gaitway.simulators.embedded.libraries import find_config, supported
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


@dataclass(frozen=True)
class Task:
    """The environment and the agents of a task."""

    name: str
    make_environment: Callable[[Any, int, torch.device], VectorEnvironment]
    """Takes the environment's configuration, the seed and the device."""
    environment: Any
    """The environment's configuration: a frozen dataclass with Isaac Lab's `scene.num_envs`, subject to overrides."""
    agents: dict[str, Any]
    """By RL library: the agent's configuration, a frozen dataclass, subject to overrides."""


_tasks: dict[str, Task] = {}


def register(task: Task) -> None:
    """Register a task under its name."""
    _tasks[task.name] = task


def registered() -> list[str]:
    """List the names of our own tasks."""
    return sorted(_tasks)


def bare_name(task: str) -> str:
    """Name of a task, without Gymnasium's `module:` in front of it."""
    return task.rpartition(":")[2]


def find_task(name: str, library: RlLibrary, imported: Imported | None = None) -> Task:
    """Find a task that has settings for an RL library; tasks of a custom environment take precedence over ours.

    Args:
        name: The registered name, or that of the same task in Isaac Lab 3; Gymnasium's `module:` before it is ignored.
        library: Name of the RL library.
        imported: What became of the custom environment, for the error.

    Raises:
        RequestError: Names the existing tasks, the nearest name first.
    """
    custom = custom_tasks()
    names = names_in_isaaclab2(bare_name(name))
    name = next((each for each in names if each in custom or each in _tasks), names[0])
    if name in custom:
        _check_library(name, library, libraries_of(custom[name]))
        return _custom_task(custom[name], library)
    if name not in _tasks:
        raise unknown_task(name, {*_tasks, *custom}, "the embedded simulator", imported)
    _check_library(name, library, _tasks[name].agents)
    return _tasks[name]


def _custom_task(spec: EnvSpec, library: RlLibrary) -> Task:
    return Task(
        name=spec.id,
        make_environment=environment_class(spec),
        environment=environment_config(spec),
        agents={library: agent_config(spec, library)},
    )


def _check_library(task: str, library: str, known: Iterable[str]) -> None:
    names = list(known)
    if library not in names:
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, for which the embedded simulator has no settings of {task}, "
            f"allowed: {', '.join(difflib.get_close_matches(library, names, n=len(names) or 1, cutoff=0))}"
        )


register(
    Task(
        name="Isaac-Cartpole-Direct-v0",
        make_environment=CartpoleDirectEnvironment,
        environment=CartpoleDirectConfig(),
        agents={library: find_config(library).CARTPOLE_DIRECT for library in supported()},
    )
)
register(
    Task(
        name="Isaac-Cartpole-v0",
        make_environment=CartpoleManagerBasedEnvironment,
        environment=CartpoleManagerBasedConfig(),
        agents={library: find_config(library).CARTPOLE for library in supported()},
    )
)
