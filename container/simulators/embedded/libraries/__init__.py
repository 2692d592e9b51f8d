"""Adapters between an environment and the RL libraries that train on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from container.simulators.embedded.environment import Policy, VectorEnvironment
from container.simulators.embedded.libraries import rsl_rl
from container.simulators.embedded.libraries.rsl_rl import OnStep


class Library(Protocol):
    """What an adapter module offers; `agent` is the library's own configuration of the task."""

    def train(
        self,
        environment: VectorEnvironment,
        agent: Any,  # noqa: ANN401
        directory: Path,
        initial_weights: Path | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        """Train, and leave checkpoints and TensorBoard events in the directory."""

    def load_policy(self, checkpoint: Path, environment: VectorEnvironment, agent: Any) -> Policy:  # noqa: ANN401
        """Load what the library saved, to act without exploration."""


LIBRARIES: dict[str, Library] = {"rsl_rl": rsl_rl}
