"""The tasks that can be trained and evaluated here, by the names that Isaac Lab registers them under."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from container.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment
from container.simulators.embedded.cartpole.manager_based import (
    CartpoleManagerBasedConfig,
    CartpoleManagerBasedEnvironment,
)
from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.libraries import rl_games_config, rsl_rl_config, skrl_config
from gaitway.contracts.errors import RequestError


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


def find_task(name: str, library: str) -> Task:
    """Find a task that has settings for an RL library.

    Args:
        name: As registered; Gymnasium's `module:` in front of it is ignored.
        library: Name of the RL library.

    Raises:
        RequestError: Names what there is, the nearest name first.
    """
    task = _tasks.get(name.rpartition(":")[2])
    if task is None:
        raise RequestError(
            f"trainingConfig.task is {name!r}, which the embedded simulator does not have, allowed: "
            f"{', '.join(_nearest_first(name, _tasks))}"
        )
    if library not in task.agents:
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, for which the embedded simulator has no settings of {name}, "
            f"allowed: {', '.join(_nearest_first(library, task.agents))}"
        )
    return task


def _nearest_first(name: str, known: dict[str, Any]) -> list[str]:
    return difflib.get_close_matches(name, known, n=len(known), cutoff=0)


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
