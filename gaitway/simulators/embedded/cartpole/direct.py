"""Isaac-Cartpole-Direct-v0, after `isaaclab_tasks/direct/cartpole/cartpole_env.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gaitway.simulators.embedded.cartpole.base import (
    UPRIGHT_LIMIT,
    CartpoleConfig,
    CartpoleEnvironment,
    Range,
)
from gaitway.simulators.embedded.cartpole.dynamics import RAIL_LIMIT, State


@dataclass(frozen=True)
class CartpoleDirectConfig(CartpoleConfig):
    """Isaac Lab's `CartpoleEnvCfg` of the direct task."""

    action_scale: float = 100.0
    """Newtons per unit of action."""
    max_cart_pos: float = RAIL_LIMIT
    """Metres; beyond it an episode ends."""
    initial_pole_angle_range: Range = (-0.25, 0.25)
    """Multiples of pi: Isaac Lab's comment says radians, but its reset multiplies by pi."""
    rew_scale_alive: float = 1.0
    rew_scale_terminated: float = -2.0
    rew_scale_pole_pos: float = -1.0
    rew_scale_cart_vel: float = -0.01
    rew_scale_pole_vel: float = -0.005


class CartpoleDirectEnvironment(CartpoleEnvironment):
    """The episode ends when the cart leaves the rail or the pole falls; rewards are per step."""

    def __init__(self, config: CartpoleDirectConfig, seed: int, device: torch.device) -> None:
        self._config = config
        super().__init__(config, seed, device, config.action_scale)
        # The direct task counts an episode as over one step before its nominal length.
        self.time_out_steps = self.max_episode_length - 1

    def observe(self) -> Tensor:
        """Return pole angle, pole velocity, cart position and cart velocity. Shape: (num_envs, 4)."""
        state = self.state
        return torch.stack((state.pole_angle, state.pole_velocity, state.cart_position, state.cart_velocity), dim=1)

    def _sample_states(self) -> State:
        still = torch.zeros(self.num_envs, device=self.device)
        return State(still, still, self._uniform(self._config.initial_pole_angle_range) * math.pi, still)

    def _terminations(self, state: State) -> dict[str, Tensor]:
        return {
            "cart_out_of_bounds": state.cart_position.abs() > self._config.max_cart_pos,
            "pole_out_of_bounds": state.pole_angle.abs() > UPRIGHT_LIMIT,
        }

    def _rewards(self, state: State, terminated: Tensor) -> Tensor:
        config = self._config
        return (
            torch.where(terminated, config.rew_scale_terminated, config.rew_scale_alive)
            + config.rew_scale_pole_pos * state.pole_angle.square()
            + config.rew_scale_cart_vel * state.cart_velocity.abs()
            + config.rew_scale_pole_vel * state.pole_velocity.abs()
        )
