"""The task on Gaitway's embedded simulator, which runs on a laptop."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gaitway.simulators import CartpoleDirectConfig, CartpoleDirectEnvironment, CartpoleState, RslRlAgentConfig


@dataclass(frozen=True)
class CentredCartpoleEnvCfg(CartpoleDirectConfig):
    """The cart-pole's settings, and one more: `env.rew_scale_cart_pos=-1` in `hydraOverrides` changes it."""

    rew_scale_cart_pos: float = -0.5
    """Per square metre of the cart's distance from the middle."""


class CentredCartpoleEnv(CartpoleDirectEnvironment):
    """The cart-pole, with a reward for staying in the middle."""

    _config: CentredCartpoleEnvCfg

    def _rewards(self, state: CartpoleState, terminated: Tensor) -> Tensor:
        return super()._rewards(state, terminated) + self._config.rew_scale_cart_pos * state.cart_position.square()


@dataclass(frozen=True)
class CentredCartpolePPORunnerCfg(RslRlAgentConfig):
    """rsl_rl's settings: those of the cart-pole, under a name of its own."""

    experiment_name: str = "cartpole_centred"
