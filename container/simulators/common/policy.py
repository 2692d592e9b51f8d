"""What acts in an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Policy = Callable[[Tensor], Tensor]
"""Maps observations (num_envs, num_observations) to actions (num_envs, num_actions)."""


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy out of a checkpoint."""

    act: Policy
    """Acts without exploration, by the library's own inference."""
    network: nn.Module
    """The same function of one tensor, which can be traced."""
    normalisation: str
    """What it does to observations and actions, in words."""
