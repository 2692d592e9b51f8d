"""A policy: what chooses the actions in an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Policy = Callable[[Tensor], Tensor]
"""Maps observations (num_envs, num_observations) to actions (num_envs, num_actions)."""


@dataclass(frozen=True)
class Memory:
    """The memory of a recurrent policy."""

    states: dict[str, tuple[int, int]]
    """Layers and size of each tensor, by its name. An empty memory is zeros of the shape (layers, num_envs, size)."""
    forget: Callable[[], None]
    """Empties the memory of the library's own inference."""


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy from a checkpoint."""

    act: Policy
    """Acts without exploration, by the library's own inference."""
    network: nn.Module
    """The same function of one tensor, which can be traced; with a memory, also of its states, which it returns after
    the actions."""
    normalisation: str
    """How it transforms observations and actions, in words."""
    memory: Memory | None = None
    """None if it has none."""
