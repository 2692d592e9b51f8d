"""What an environment offers to the RL libraries and to the evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gaitway.simulators.common.episodes import TIME_OUT, TRUNCATED, Step

if TYPE_CHECKING:
    from gaitway.simulators.embedded.video import Painter


class VectorEnvironment(ABC):
    """Many environments of one task, stepped together, each reset by itself at the end of its episode.

    A step neither waits for the device nor loops over environments.
    """

    num_envs: int
    num_actions: int
    device: torch.device
    step_seconds: float
    """Simulated time that one step takes."""
    max_episode_length: int
    """Length of an episode in steps, as passed to the RL libraries."""
    episode_lengths: Tensor
    """Steps since the latest reset. Shape: (num_envs,). Libraries set it to spread the first resets over time."""
    common_step_counter: int = 0
    """Steps of the training so far, under Isaac Lab's name, for curricula. `step` adds one to it; a training that
    resumes sets it, and then calls `reset`."""
    successful_endings = frozenset({TIME_OUT, TRUNCATED})
    success_definition: str
    """A description of a success in this task."""

    @abstractmethod
    def observe(self) -> Tensor:
        """Return the observations of the current states. Shape: (num_envs, num_observations)."""

    @abstractmethod
    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its first observations."""

    @abstractmethod
    def step(self, actions: Tensor) -> Step:
        """Apply actions of shape (num_envs, num_actions) for one step."""

    @abstractmethod
    def drawable_states(self, num_views: int) -> Tensor:
        """Return the state that a picture of the first environments needs, after the latest step or reset.

        An environment whose episode has just ended is still shown where it ended. Shape: (num_views, any).
        """

    @abstractmethod
    def painter(self, num_views: int, title: str, subtitle: str) -> Painter:
        """Return the object that draws these states for a video."""
