"""An environment whose episodes end when a script says."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.embedded.vector_environment import VectorEnvironment
from gaitway.simulators.embedded.video import View

ALL_ON_TRACK = 10**6
FELL = "fell"


class ScriptedEnvironment(VectorEnvironment):
    """Every step rewards 1; environment i falls after `falls_after[i]` steps, always; 6 steps are a whole episode.

    Observations count the steps of the episode.
    """

    num_actions = 1
    step_seconds = 0.1
    max_episode_length = 6
    success_definition = "It did not fall."

    def __init__(self, falls_after: list[int], off_track_at: int = ALL_ON_TRACK) -> None:
        self.num_envs = len(falls_after)
        self.device = torch.device("cpu")
        self.resets = 0
        self._falls_after = torch.tensor(falls_after)
        self._off_track_at = off_track_at
        self.reset()

    def observe(self) -> Tensor:
        return self.episode_lengths[:, None].float()

    def reset(self) -> Tensor:
        self.resets += 1
        self.episode_lengths = torch.zeros(self.num_envs, dtype=torch.long)
        return self.observe()

    def step(self, actions: Tensor) -> Step:
        assert actions.shape == (self.num_envs, 1)
        lengths = self.episode_lengths + 1
        self._reached = lengths
        fell, time_outs = lengths >= self._falls_after, lengths >= self.max_episode_length
        self.episode_lengths = torch.where(fell | time_outs, 0, lengths)
        return Step(
            observations=self.observe(),
            rewards=torch.ones(self.num_envs),
            terminations={"slipped": torch.zeros_like(fell), FELL: fell},
            terminated=fell,
            time_outs=time_outs,
            on_track=lengths < self._off_track_at,
        )

    def drawable_states(self, num_views: int) -> Tensor:
        return self._reached[:num_views, None].float()

    def painter(self, num_views: int, title: str, subtitle: str) -> GreyPainter:
        return GreyPainter()


class GreyPainter:
    """Draws the first view's step as a shade of grey."""

    def __call__(self, views: list[View], seconds: float) -> NDArray[np.uint8]:
        return np.full((16, 16, 3), round(40 * float(views[0].states[0])), dtype=np.uint8)
