"""The tasks that can be trained and evaluated here, by the names that Isaac Lab registers them under."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from container.simulators.common.custom_environment import unknown_task
from container.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment
from container.simulators.embedded.cartpole.manager_based import (
    CartpoleManagerBasedConfig,
    CartpoleManagerBasedEnvironment,
)
from container.simulators.embedded.custom_tasks import (
    agent_config,
    custom_tasks,
    environment_class,
    environment_config,
    libraries_of,
)
from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.libraries import rl_games_config, rsl_rl_config, skrl_config
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import RlLibrary

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


@dataclass(frozen=True)
class Task:
    """What belongs to a task's name."""

    name: str
    make_environment: Callable[[Any, int, torch.device], VectorEnvironment]
    """Takes the environment's configuration, the seed and the device."""
    environment: Any
    """The environment's configuration: a frozen dataclass with Isaac Lab's `scene.num_envs`, subject to overrides."""
    agents: dict[str, Any]
    """By RL library: the agent's configuration, a frozen dataclass, subject to overrides."""


_tasks: dict[str, Task] = {}


def register(task: Task) -> None:
    """Make a task known under its name."""
    _tasks[task.name] = task


def find_task(name: str, library: RlLibrary) -> Task:
    """Find a task that has settings for an RL library; what a custom environment registers goes before what is here.

    Args:
        name: As registered; Gymnasium's `module:` in front of it is ignored.
        library: Name of the RL library.

    Raises:
        RequestError: Names what there is, the nearest name first.
    """
    name = name.rpartition(":")[2]
    custom = custom_tasks()
    if name in custom:
        _check_library(name, library, libraries_of(custom[name]))
        return _custom_task(custom[name], library)
    if name not in _tasks:
        raise unknown_task(name, {*_tasks, *custom}, "the embedded simulator")
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
        agents={
            "rsl_rl": rsl_rl_config.AgentConfig(experiment_name="cartpole_direct"),
            "skrl": skrl_config.CARTPOLE_DIRECT,
            "rl_games": rl_games_config.CARTPOLE_DIRECT,
        },
    )
)
register(
    Task(
        name="Isaac-Cartpole-v0",
        make_environment=CartpoleManagerBasedEnvironment,
        environment=CartpoleManagerBasedConfig(),
        agents={
            "rsl_rl": rsl_rl_config.AgentConfig(experiment_name="cartpole"),
            "skrl": skrl_config.CARTPOLE,
            "rl_games": rl_games_config.CARTPOLE,
        },
    )
)
