"""Adapters between an environment and the RL libraries that train on it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from gaitway.libraries import RlLibrary
from gaitway.libraries.simulators import SIMULATORS
from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.embedded.vector_environment import VectorEnvironment


@dataclass(frozen=True)
class Training:
    """What a training starts from, and where its files go."""

    directory: Path
    """Where checkpoints, TensorBoard events and git diffs go."""
    ranks: Ranks
    seed: int
    """Seed of this process and this attempt."""
    initial_weights: Path | None = None
    """Checkpoint whose networks and normalisers a new training starts from, at iteration 0."""
    continue_from: Path | None = None
    """Checkpoint in the directory, of the same training, from which it resumes."""
    completed_iterations: int = 0
    """Iterations done in `continue_from`."""
    checkpoint_interval: int | None = None
    """Iterations between checkpoints, for a library whose settings do not have them; its own default when None."""
    on_step: Callable[[Step], None] | None = None
    """Called after each step of the environment."""


class Library(Protocol):
    """The functions of an adapter module; `agent` is the library's own configuration of the task."""

    def train(self, environment: VectorEnvironment, agent: Any, training: Training) -> None:  # noqa: ANN401
        """Train to `agent`'s total of iterations; write checkpoints, including the last one, and TensorBoard events.

        Raises:
            RequestError: A given checkpoint cannot be read, or does not fit the agent's networks.
            NotANumberError: The training diverged; no checkpoint contains the diverged state.
        """

    def load_policy(self, checkpoint: Path, environment: VectorEnvironment, agent: Any) -> TrainedPolicy:  # noqa: ANN401
        """Load what the library saved.

        Raises:
            RequestError: The checkpoint cannot be read, or does not fit the agent's networks.
        """


class AgentSettings(Protocol):
    """The functions of a module `<library>_config`; it imports neither torch nor a library."""

    AgentConfig: type[Any]
    """Isaac Lab's settings of an agent, a frozen dataclass."""
    LEFT_OUT: frozenset[str] | None
    """Keys of Isaac Lab's YAML files that are not read; None if its agents are described in Python."""
    CARTPOLE: Any
    """Those of Isaac-Cartpole-v0."""
    CARTPOLE_DIRECT: Any
    """Those of Isaac-Cartpole-Direct-v0."""


def supported() -> list[RlLibrary]:
    """List the libraries that have an adapter."""
    return list(SIMULATORS["embedded"].libraries)


def find_config(name: RlLibrary) -> AgentSettings:
    """Import the settings of a library's agents."""
    return cast("AgentSettings", importlib.import_module(f"{__name__}.{name}_config"))


def find_library(name: RlLibrary) -> Library:
    """Import one adapter: each library takes seconds, and skrl reads its ranks when it is imported."""
    return cast("Library", importlib.import_module(f"{__name__}.{name}"))
