"""Isaac Lab's agent settings for sb3, under the names of its `agents/sb3_ppo_cfg.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

from pydantic import Field

from gaitway.contracts.workload import TrainingConfig

Positive = Annotated[int, Field(ge=1)]
Activation = Literal["nn.ELU", "nn.ReLU", "nn.Tanh", "nn.SELU", "nn.GELU", "nn.LeakyReLU", "nn.Sigmoid"]

LEFT_OUT = frozenset({"device", "sde_sample_freq"})
"""Keys of Isaac Lab's files that are not read: scripts set them, or this simulator knows one value only."""


@dataclass(frozen=True)
class PolicyConfig:
    """Arguments of sb3's `ActorCriticPolicy`."""

    activation_fn: Activation = "nn.ELU"
    net_arch: tuple[Positive, ...] = (32, 32)
    """Layers of the policy, and of the value function; they share none."""
    squash_output: Literal[False] = False
    log_std_init: float = 0.0
    ortho_init: bool = True


@dataclass(frozen=True)
class AgentConfig:
    """Isaac Lab's `sb3_ppo_cfg.yaml`, with the values of the cart-pole's."""

    seed: Annotated[int, Field(ge=0)] = 42
    n_timesteps: Positive = 1_000_000
    """Steps of all environments together; set by the request: iterations times those of an iteration."""
    policy: Literal["MlpPolicy"] = "MlpPolicy"
    n_steps: Positive = 16
    """Steps of each environment per iteration."""
    batch_size: Positive = 4096
    """At most: Isaac Lab's is made for 4096 environments."""
    n_minibatches: Positive | None = None
    """In place of batch_size, where it is given."""
    gae_lambda: float = 0.95
    gamma: float = 0.99
    n_epochs: Positive = 20
    ent_coef: float = 0.01
    learning_rate: float = 3.0e-4
    clip_range: float = 0.2
    policy_kwargs: PolicyConfig = field(default_factory=PolicyConfig)
    vf_coef: float = 1.0
    max_grad_norm: float = 1.0
    target_kl: float | None = None
    use_sde: Literal[False] = False
    normalize_input: bool = False
    normalize_value: bool = False
    clip_obs: Annotated[float, Field(gt=0)] = 10.0

    experiment = None
    """Isaac Lab's train.py names the directory of the runs below `logs/sb3` after the task."""
    run_suffix = ""
    """What Isaac Lab's train.py appends to a run's time."""

    @property
    def steps_per_iteration(self) -> int:
        """Steps of each environment per iteration."""
        return self.n_steps

    def iterations(self, num_envs: int) -> int:
        """Iterations in total."""
        return self.n_timesteps // (self.n_steps * num_envs)

    def minibatch(self, num_envs: int) -> int:
        """Size of a mini-batch."""
        batch = self.n_steps * num_envs
        return max(1, batch // self.n_minibatches) if self.n_minibatches else min(self.batch_size, batch)

    def seeded(self, seed: int | None) -> Self:
        """Return these settings with a request's seed."""
        return self if seed is None else replace(self, seed=seed)

    def requested(self, training: TrainingConfig) -> Self:
        """Return these settings with the values of a request to train."""
        return replace(
            self.seeded(training.seed),
            n_timesteps=training.max_iterations * self.n_steps * training.num_envs,
        )


CARTPOLE = AgentConfig()
CARTPOLE_DIRECT = AgentConfig()
"""In Isaac Lab they are the same."""
