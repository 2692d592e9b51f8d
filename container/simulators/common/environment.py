"""What an evaluation sees of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

TIME_OUT = "time_out"
"""The environment's own end of an episode."""
TRUNCATED = "truncated"
"""The end that the request's stepsPerEpisode sets."""


@dataclass(frozen=True)
class Step:
    """Outcome of one step of all environments; every tensor has num_envs as its first dimension."""

    observations: Tensor
    """After the resets: the first observation of a new episode where one has ended."""
    rewards: Tensor
    terminations: dict[str, Tensor]
    """By reason: which environments reached a terminal state."""
    terminated: Tensor
    """Which environments reached a terminal state, for any reason."""
    time_outs: Tensor
    """Which environments reached the end of their time."""
    on_track: Tensor
    """Which environments were, before the resets, in a state that a successful episode never leaves."""


class Episodes(Protocol):
    """Many environments of one task, stepped together, each reset by itself at the end of its episode."""

    num_envs: int
    device: torch.device
    successful_endings: frozenset[str]
    """Reasons that a successful episode may end for."""

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its first observations."""

    def step(self, actions: Tensor) -> Step:
        """Apply actions of shape (num_envs, num_actions) for one step."""
