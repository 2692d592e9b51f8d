"""What both cart-pole tasks share: timing, the step, automatic resets and the definition of success."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.embedded.cartpole.dynamics import RAIL_LIMIT, CartPole, State
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

if TYPE_CHECKING:
    from gaitway.simulators.embedded.video import Painter

UPRIGHT_LIMIT = math.pi / 2
"""Radians from upright beyond which a pole counts as fallen."""

Range = tuple[float, float]
"""Lower and upper end of a uniform distribution, or of an allowed range."""


@dataclass(frozen=True)
class SimulationConfig:
    """Isaac Lab's `sim`: the part that is used here."""

    dt: Annotated[float, Field(gt=0, le=0.1)] = 1 / 120
    """Physics step in seconds."""


@dataclass(frozen=True)
class SceneConfig:
    """Isaac Lab's `scene`: the part that is used here."""

    num_envs: Annotated[int, Field(ge=1)] = 4096
    """Parallel environments; set by the request."""


@dataclass(frozen=True)
class CartpoleConfig:
    """The settings that both tasks have in common, under Isaac Lab's names, so that the same overrides apply."""

    decimation: Annotated[int, Field(ge=1)] = 2
    """Physics steps per environment step."""
    episode_length_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds."""
    sim: SimulationConfig = field(default_factory=SimulationConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)


class CartpoleEnvironment(VectorEnvironment):
    """Steps the dynamics and resets what has ended; a task adds observations, rewards, terminations and resets."""

    num_actions = 1
    success_definition = (
        f"The episode lasted its full length, with the cart within {RAIL_LIMIT:g} m of the middle of the rail and the "
        "pole within 90 degrees of upright throughout."
    )

    def __init__(self, config: CartpoleConfig, seed: int, device: torch.device, action_scale: float) -> None:
        self.num_envs = config.scene.num_envs
        self.device = device
        self.step_seconds = config.sim.dt * config.decimation
        self.max_episode_length = math.ceil(config.episode_length_s / self.step_seconds)
        self.episode_lengths = torch.zeros(self.num_envs, dtype=torch.long, device=device)
        self.time_out_steps = self.max_episode_length
        self._robot = CartPole()
        self._decimation = config.decimation
        self._physics_seconds = config.sim.dt
        self._action_scale = action_scale
        self._random = torch.Generator(device=device)
        self._random.manual_seed(seed)
        self.reset()

    @abstractmethod
    def _sample_states(self) -> State:
        """Draw the initial state of an episode for every environment."""

    @abstractmethod
    def _terminations(self, state: State) -> dict[str, Tensor]:
        """Return, by reason, which states end an episode."""

    @abstractmethod
    def _rewards(self, state: State, terminated: Tensor) -> Tensor:
        """Reward the states that a step led to. Shape: (num_envs,)."""

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its first observations."""
        self.state = self._reached = self._sample_states()
        self.episode_lengths = torch.zeros_like(self.episode_lengths)
        return self.observe()

    def step(self, actions: Tensor) -> Step:
        """Apply actions of shape (num_envs, 1) for one step."""
        self.common_step_counter += 1
        effort = self._action_scale * actions[:, 0]
        reached = self.state
        for _ in range(self._decimation):
            reached = self._robot.advance(reached, effort, self._physics_seconds)
        self._reached = reached
        # Not in place: these tensors may have been made in inference mode, and may still be read by the caller.
        lengths = self.episode_lengths + 1

        terminations = self._terminations(reached)
        terminated = torch.stack(tuple(terminations.values())).any(dim=0)
        time_outs = lengths >= self.time_out_steps
        rewards = self._rewards(reached, terminated)

        ended = terminated | time_outs
        fresh = self._sample_states()
        self.state = State(*(torch.where(ended, new, old) for new, old in zip(fresh, reached, strict=True)))
        self.episode_lengths = torch.where(ended, 0, lengths)
        return Step(
            observations=self.observe(),
            rewards=rewards,
            terminations=terminations,
            terminated=terminated,
            time_outs=time_outs,
            on_track=(reached.cart_position.abs() <= RAIL_LIMIT) & (wrap(reached.pole_angle).abs() <= UPRIGHT_LIMIT),
        )

    def drawable_states(self, num_views: int) -> Tensor:
        """Return cart position and pole angle of the first environments. Shape: (num_views, 2)."""
        return torch.stack((self._reached.cart_position[:num_views], self._reached.pole_angle[:num_views]), dim=1)

    def painter(self, num_views: int, title: str, subtitle: str) -> Painter:
        """Return the object that draws cart-poles for a video."""
        # Only a run with a video waits for the drawing libraries.
        from gaitway.simulators.embedded.cartpole.picture import CartpolePainter

        return CartpolePainter(num_views, title, subtitle)

    def _uniform(self, limits: Range) -> Tensor:
        low, high = limits
        return low + (high - low) * torch.rand(self.num_envs, generator=self._random, device=self.device)


def wrap(angle: Tensor) -> Tensor:
    """Bring angles in radians into [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
