"""The interface of an environment for an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

TIME_OUT = "time_out"
"""The episode ended by the environment's own rules."""
TRUNCATED = "truncated"
"""The end that the request's stepsPerEpisode sets."""


@dataclass(frozen=True)
class Step:
    """Outcome of one step of all environments; every tensor has num_envs as its first dimension."""

    observations: Tensor
    """After the resets: if an episode has ended, this is the first observation of the next one."""
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
    """Many environments of one task, stepped together; each resets itself at the end of its episode."""

    num_envs: int
    device: torch.device
    successful_endings: frozenset[str]
    """Reasons for which a successful episode may end."""

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its first observations."""

    def step(self, actions: Tensor) -> Step:
        """Apply actions of shape (num_envs, num_actions) for one step."""
