"""The same task on Isaac Lab."""

from __future__ import annotations

import torch
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlOnPolicyRunnerCfg, RslRlPpoActorCriticCfg, RslRlPpoAlgorithmCfg
from isaaclab_tasks.direct.cartpole.cartpole_env import CartpoleEnv, CartpoleEnvCfg


@configclass
class CentredCartpoleEnvCfg(CartpoleEnvCfg):
    """The cart-pole's settings, and one more: `env.rew_scale_cart_pos=-1` in `hydraOverrides` changes it."""

    rew_scale_cart_pos: float = -0.5
    """Per square metre of the cart's distance from the middle."""


class CentredCartpoleEnv(CartpoleEnv):
    """The cart-pole, with a reward for staying in the middle."""

    cfg: CentredCartpoleEnvCfg

    def _get_rewards(self) -> torch.Tensor:
        cart_position = self.joint_pos[:, self._cart_dof_idx[0]]
        return super()._get_rewards() + self.cfg.rew_scale_cart_pos * cart_position.square()


@configclass
class CentredCartpolePPORunnerCfg(RslRlOnPolicyRunnerCfg):
    """rsl_rl's settings."""

    num_steps_per_env = 16
    max_iterations = 150
    save_interval = 50
    experiment_name = "cartpole_centred"
    policy = RslRlPpoActorCriticCfg(
        init_noise_std=1.0, actor_hidden_dims=[32, 32], critic_hidden_dims=[32, 32], activation="elu"
    )
    algorithm = RslRlPpoAlgorithmCfg(
        value_loss_coef=1.0,
        use_clipped_value_loss=True,
        clip_param=0.2,
        entropy_coef=0.005,
        num_learning_epochs=5,
        num_mini_batches=4,
        learning_rate=1.0e-3,
        schedule="adaptive",
        gamma=0.99,
        lam=0.95,
        desired_kl=0.01,
        max_grad_norm=1.0,
    )
