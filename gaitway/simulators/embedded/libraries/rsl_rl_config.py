"""Isaac Lab's agent settings for rsl_rl, and their translation into the shape that rsl-rl-lib 5 reads.

Isaac Lab 2.3.2 describes an agent in the shape of rsl-rl-lib 3 (`isaaclab_rl/rsl_rl/rl_cfg.py`): one `policy` with
both networks. rsl-rl-lib 5 wants a model each for `actor` and `critic`. Users override the former (`agent.policy...`),
and `params/agent.yaml` records it, so that the same request means the same on Isaac Lab; `translate` is the only place
that knows the latter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from gaitway.contracts.workload import TrainingConfig

Positive = Annotated[int, Field(ge=1)]
HiddenDims = tuple[Positive, ...]
Activation = Literal[
    "elu", "selu", "relu", "crelu", "lrelu", "tanh", "sigmoid", "softplus", "gelu", "swish", "mish", "identity"
]


LEFT_OUT = None
"""Isaac Lab describes its agents in Python only."""


@dataclass(frozen=True)
class PolicyConfig:
    """Isaac Lab's `RslRlPpoActorCriticCfg`."""

    init_noise_std: Annotated[float, Field(gt=0)] = 1.0
    noise_std_type: Literal["scalar", "log"] = "scalar"
    actor_obs_normalization: bool = False
    critic_obs_normalization: bool = False
    actor_hidden_dims: HiddenDims = (32, 32)
    critic_hidden_dims: HiddenDims = (32, 32)
    activation: Activation = "elu"
    class_name: Literal["ActorCritic", "ActorCriticRecurrent"] = "ActorCritic"
    """The second is Isaac Lab's `RslRlPpoActorCriticRecurrentCfg`, which has the fields that follow."""
    rnn_type: Literal["lstm", "gru"] = "lstm"
    rnn_hidden_dim: Positive = 256
    rnn_num_layers: Positive = 1

    @property
    def is_recurrent(self) -> bool:
        """Whether the networks have a memory."""
        return self.class_name == "ActorCriticRecurrent"


@dataclass(frozen=True)
class AlgorithmConfig:
    """Isaac Lab's `RslRlPpoAlgorithmCfg`."""

    value_loss_coef: float = 1.0
    use_clipped_value_loss: bool = True
    clip_param: float = 0.2
    entropy_coef: float = 0.005
    num_learning_epochs: Positive = 5
    num_mini_batches: Positive = 4
    learning_rate: float = 1.0e-3
    schedule: Literal["adaptive", "fixed"] = "adaptive"
    gamma: float = 0.99
    lam: float = 0.95
    desired_kl: float = 0.01
    max_grad_norm: float = 1.0
    normalize_advantage_per_mini_batch: bool = False


@dataclass(frozen=True)
class AgentConfig:
    """Isaac Lab's `RslRlOnPolicyRunnerCfg`, with the values of the cart-pole's `agents/rsl_rl_ppo_cfg.py`."""

    experiment_name: str
    """Directory of the runs below `logs/rsl_rl`."""
    seed: Annotated[int, Field(ge=0)] = 42
    num_steps_per_env: Positive = 16
    max_iterations: Positive = 150
    save_interval: Positive = 50
    """Iterations between checkpoints."""
    clip_actions: Annotated[float, Field(gt=0)] | None = None
    run_name: str = ""
    """Appended to the name of the run's directory."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)

    @property
    def experiment(self) -> str:
        """Directory of the runs below `logs/rsl_rl`."""
        return self.experiment_name

    @property
    def run_suffix(self) -> str:
        """What Isaac Lab's train.py appends to a run's time."""
        return self.run_name

    @property
    def iterations(self) -> int:
        """Iterations in total."""
        return self.max_iterations

    @property
    def steps_per_iteration(self) -> int:
        """Steps of each environment per iteration."""
        return self.num_steps_per_env

    def seeded(self, seed: int | None) -> Self:
        """Return these settings with a request's seed."""
        return self if seed is None else replace(self, seed=seed)

    def requested(self, training: TrainingConfig) -> Self:
        """Return these settings with the values of a request to train."""
        return replace(
            self.seeded(training.seed),
            max_iterations=training.max_iterations,
            save_interval=training.checkpoint_interval or self.save_interval,
        )


CARTPOLE = AgentConfig(experiment_name="cartpole")
CARTPOLE_DIRECT = AgentConfig(experiment_name="cartpole_direct")


def translate(agent: AgentConfig) -> dict[str, Any]:
    """Write an agent's settings as rsl-rl-lib 5's `OnPolicyRunner` reads them.

    The observation group is called "policy", as in every Isaac Lab environment, and both networks read it.
    """
    policy = agent.policy
    model: dict[str, Any] = {"class_name": "MLPModel"}
    if policy.is_recurrent:
        memory = {name: getattr(policy, name) for name in ("rnn_type", "rnn_hidden_dim", "rnn_num_layers")}
        model = {"class_name": "RNNModel", **memory}
    return {
        "seed": agent.seed,
        "num_steps_per_env": agent.num_steps_per_env,
        "max_iterations": agent.max_iterations,
        "save_interval": agent.save_interval,
        "run_name": agent.run_name,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "actor": {
            **model,
            "hidden_dims": list(policy.actor_hidden_dims),
            "activation": policy.activation,
            "obs_normalization": policy.actor_obs_normalization,
            "distribution_cfg": {
                "class_name": "GaussianDistribution",
                "init_std": policy.init_noise_std,
                "std_type": policy.noise_std_type,
            },
        },
        "critic": {
            **model,
            "hidden_dims": list(policy.critic_hidden_dims),
            "activation": policy.activation,
            "obs_normalization": policy.critic_obs_normalization,
        },
        "algorithm": {"class_name": "PPO", **asdict(agent.algorithm)},
    }
