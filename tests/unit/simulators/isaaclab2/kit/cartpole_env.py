"""Stand-in for Isaac Lab's cart-pole: the embedded simulator's, behind Isaac Lab's interface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from isaaclab.envs import DirectRLEnv, DirectRLEnvCfg
from isaaclab.utils import configclass
from torch import Tensor

from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment


@configclass
class CartpoleEnvCfg(DirectRLEnvCfg):
    """What tests override."""

    action_scale: float = 100.0
    initial_pole_angle_range: list = [-0.25, 0.25]


class CartpoleEnv(DirectRLEnv):
    """The direct cart-pole task."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, cfg: CartpoleEnvCfg, render_mode: str | None = None, **_: Any) -> None:
        self.cfg = cfg
        self.render_mode = render_mode
        config = CartpoleDirectConfig(
            action_scale=cfg.action_scale, initial_pole_angle_range=tuple(cfg.initial_pole_angle_range)
        )
        config = replace(config, scene=replace(config.scene, num_envs=cfg.scene.num_envs))
        # Where there is no GPU, on the CPU whatever is asked for.
        self.device = cfg.sim.device if torch.cuda.is_available() else "cpu"
        if self.device != "cpu":
            # As Isaac Lab's environments do: rl_games' processes would all talk through the first GPU.
            torch.cuda.set_device(self.device)
        # As isaaclab/envs/direct_rl_env.py counts them.
        self.common_step_counter = 0
        self._physics = CartpoleDirectEnvironment(config, cfg.seed or 0, torch.device(self.device))
        self.num_envs = self._physics.num_envs
        self.max_episode_length = self._physics.max_episode_length
        self.single_observation_space = gymnasium.spaces.Dict(policy=gymnasium.spaces.Box(-np.inf, np.inf, (4,)))
        self.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)

    @property
    def episode_length_buf(self) -> Tensor:
        return self._physics.episode_lengths

    @episode_length_buf.setter
    def episode_length_buf(self, lengths: Tensor) -> None:
        self._physics.episode_lengths = lengths

    def seed(self, seed: int) -> int:
        self._physics._random.manual_seed(seed)
        return seed

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Tensor], Any]:
        return {"policy": self._physics.reset()}, {}

    def step(self, action: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        step = self._physics.step(action)
        self.common_step_counter += 1
        return {"policy": step.observations}, step.rewards, step.terminated, step.time_outs, {}

    def _get_observations(self) -> dict[str, Tensor]:
        return {"policy": self._physics.observe()}

    def render(self) -> np.ndarray:
        return np.zeros((64, 64, 3), dtype=np.uint8)

    def close(self) -> None:
        Path("environment-closed").write_text(f"steps {self.common_step_counter}")
