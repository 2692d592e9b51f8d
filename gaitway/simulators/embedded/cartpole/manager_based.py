"""Isaac-Cartpole-v0, after `isaaclab_tasks/manager_based/classic/cartpole/cartpole_env_cfg.py` and its `mdp`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gaitway.simulators.embedded.cartpole.base import (
    CartpoleConfig,
    CartpoleEnvironment,
    Range,
    wrap,
)
from gaitway.simulators.embedded.cartpole.dynamics import RAIL_LIMIT, State

QUARTER_TURN = 0.25 * math.pi


@dataclass(frozen=True)
class JointEffortConfig:
    """The action term."""

    scale: float = 100.0
    """Newtons per unit of action."""


@dataclass(frozen=True)
class ActionsConfig:
    """The action manager's terms."""

    joint_effort: JointEffortConfig = field(default_factory=JointEffortConfig)


@dataclass(frozen=True)
class ResetParams:
    """Uniform offsets from the middle of the rail, or from upright, at rest."""

    position_range: Range
    """Metres, or radians."""
    velocity_range: Range
    """Per second."""


@dataclass(frozen=True)
class ResetConfig:
    """A reset event of one joint."""

    params: ResetParams


@dataclass(frozen=True)
class EventsConfig:
    """The event manager's terms."""

    reset_cart_position: ResetConfig = field(default_factory=lambda: ResetConfig(ResetParams((-1.0, 1.0), (-0.5, 0.5))))
    reset_pole_position: ResetConfig = field(
        default_factory=lambda: ResetConfig(
            ResetParams((-QUARTER_TURN, QUARTER_TURN), (-QUARTER_TURN, QUARTER_TURN)),
        )
    )


@dataclass(frozen=True)
class RewardConfig:
    """A term of the reward."""

    weight: float
    """Per second: the reward manager multiplies it by the length of a step."""


@dataclass(frozen=True)
class RewardsConfig:
    """The reward manager's terms."""

    alive: RewardConfig = field(default_factory=lambda: RewardConfig(1.0))
    terminating: RewardConfig = field(default_factory=lambda: RewardConfig(-2.0))
    pole_pos: RewardConfig = field(default_factory=lambda: RewardConfig(-1.0))
    cart_vel: RewardConfig = field(default_factory=lambda: RewardConfig(-0.01))
    pole_vel: RewardConfig = field(default_factory=lambda: RewardConfig(-0.005))


@dataclass(frozen=True)
class BoundsParams:
    """Allowed positions of a joint."""

    bounds: Range = (-RAIL_LIMIT, RAIL_LIMIT)
    """Metres."""


@dataclass(frozen=True)
class OutOfBoundsConfig:
    """Ends an episode."""

    params: BoundsParams = field(default_factory=BoundsParams)


@dataclass(frozen=True)
class TerminationsConfig:
    """The termination manager's terms, apart from the time-out."""

    cart_out_of_bounds: OutOfBoundsConfig = field(default_factory=OutOfBoundsConfig)


@dataclass(frozen=True)
class CartpoleManagerBasedConfig(CartpoleConfig):
    """Isaac Lab's `CartpoleEnvCfg` of the manager-based task."""

    actions: ActionsConfig = field(default_factory=ActionsConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    rewards: RewardsConfig = field(default_factory=RewardsConfig)
    terminations: TerminationsConfig = field(default_factory=TerminationsConfig)


class CartpoleManagerBasedEnvironment(CartpoleEnvironment):
    """The episode ends when the cart leaves the rail, but not when the pole falls; rewards are per second."""

    def __init__(self, config: CartpoleManagerBasedConfig, seed: int, device: torch.device) -> None:
        self._config = config
        super().__init__(config, seed, device, config.actions.joint_effort.scale)

    def observe(self) -> Tensor:
        """Return cart position, pole angle, cart velocity and pole velocity. Shape: (num_envs, 4)."""
        state = self.state
        return torch.stack((state.cart_position, state.pole_angle, state.cart_velocity, state.pole_velocity), dim=1)

    def _sample_states(self) -> State:
        cart, pole = self._config.events.reset_cart_position.params, self._config.events.reset_pole_position.params
        return State(
            cart_position=self._uniform(cart.position_range),
            cart_velocity=self._uniform(cart.velocity_range),
            pole_angle=self._uniform(pole.position_range),
            pole_velocity=self._uniform(pole.velocity_range),
        )

    def _terminations(self, state: State) -> dict[str, Tensor]:
        low, high = self._config.terminations.cart_out_of_bounds.params.bounds
        return {"cart_out_of_bounds": (state.cart_position < low) | (state.cart_position > high)}

    def _rewards(self, state: State, terminated: Tensor) -> Tensor:
        rewards = self._config.rewards
        per_second = (
            torch.where(terminated, rewards.terminating.weight, rewards.alive.weight)
            + rewards.pole_pos.weight * wrap(state.pole_angle).square()
            + rewards.cart_vel.weight * state.cart_velocity.abs()
            + rewards.pole_vel.weight * state.pole_velocity.abs()
        )
        return per_second * self.step_seconds
