"""Adapters between an environment and the RL libraries that train on it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from container.simulators.common.environment import Step
from container.simulators.common.policy import TrainedPolicy
from container.simulators.common.ranks import Ranks
from container.simulators.embedded.environment import VectorEnvironment
from gaitway.contracts.request import RlLibrary


@dataclass(frozen=True)
class Training:
    """What to train from, and where to leave it."""

    directory: Path
    """Where checkpoints, TensorBoard events and git diffs go."""
    ranks: Ranks
    seed: int
    """Of this process and this attempt."""
    initial_weights: Path | None = None
    """Checkpoint whose networks and normalisers a new training starts from, at iteration 0."""
    continue_from: Path | None = None
    """Checkpoint in the directory, of the same training: it goes on from there."""
    completed_iterations: int = 0
    """Those that `continue_from` has behind it."""
    on_step: Callable[[Step], None] | None = None
    """Called after each step of the environment."""


class Library(Protocol):
    """What an adapter module offers; `agent` is the library's own configuration of the task."""

    def train(self, environment: VectorEnvironment, agent: Any, training: Training) -> None:  # noqa: ANN401
        """Train to `agent`'s total of iterations; leave checkpoints, the last one among them, and TensorBoard events.

        Raises:
            RequestError: A given checkpoint cannot be read, or does not fit the agent's networks.
            NotANumberError: The training diverged; no checkpoint holds what it came to.
        """

    def load_policy(self, checkpoint: Path, environment: VectorEnvironment, agent: Any) -> TrainedPolicy:  # noqa: ANN401
        """Load what the library saved.

        Raises:
            RequestError: The checkpoint cannot be read, or does not fit the agent's networks.
        """


def find_library(name: RlLibrary) -> Library:
    """Import one adapter: each library takes seconds, and skrl looks for its ranks when it is imported."""
    return cast("Library", importlib.import_module(f"{__name__}.{name}"))
