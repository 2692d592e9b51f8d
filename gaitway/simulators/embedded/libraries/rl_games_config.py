"""Isaac Lab's agent settings for rl_games, under the names of its `agents/rl_games_ppo_cfg.yaml`.

What the script sets (`device`, `num_actors`, `multi_gpu`, `env_name`) is left out, and so is `mixed_precision`, which
rl_games knows on CUDA only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.libraries.minibatch import fitting_minibatch

Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "selu", "swish", "gelu", "softplus", "None"]


LEFT_OUT = frozenset(
    {
        "params.algo",
        "params.model",
        "params.load_checkpoint",
        "params.load_path",
        "params.network.name",
        "params.network.space",
        "params.network.mlp.initializer",
        "params.network.mlp.regularizer",
        "params.config.env_name",
        "params.config.device",
        "params.config.device_name",
        "params.config.multi_gpu",
        "params.config.ppo",
        "params.config.mixed_precision",
        "params.config.num_actors",
    }
)
"""Keys of Isaac Lab's files that are not read: scripts set them, or this simulator knows one value only."""


@dataclass(frozen=True)
class EnvConfig:
    """What the environment's wrapper clips."""

    clip_observations: PositiveFloat = 5.0
    clip_actions: PositiveFloat = 1.0


@dataclass(frozen=True)
class MlpConfig:
    """The layers that actor and critic share."""

    units: tuple[Positive, ...] = (32, 32)
    activation: Activation = "elu"
    d2rl: bool = False


@dataclass(frozen=True)
class NetworkConfig:
    """rl_games' `actor_critic`."""

    separate: Literal[False] = False
    mlp: MlpConfig = field(default_factory=MlpConfig)


@dataclass(frozen=True)
class RewardShaperConfig:
    """rl_games' `DefaultRewardsShaper`."""

    scale_value: float = 1.0


@dataclass(frozen=True)
class AlgorithmConfig:
    """rl_games' `config`, with the values of the manager-based cart-pole."""

    name: str
    """Directory of the runs below `logs/rl_games`, and of the checkpoints' names."""
    full_experiment_name: str = ""
    """Name of the run's directory, in place of its time."""
    normalize_input: bool = False
    normalize_value: bool = False
    reward_shaper: RewardShaperConfig = field(default_factory=RewardShaperConfig)
    normalize_advantage: bool = False
    gamma: float = 0.99
    tau: float = 0.95
    learning_rate: float = 3.0e-4
    lr_schedule: Literal["adaptive", "linear"] | None = "adaptive"
    kl_threshold: float = 0.008
    score_to_win: float = 20000
    max_epochs: Positive = 150
    """Iterations in total; set by the request."""
    save_best_after: Annotated[int, Field(ge=0)] = 50
    save_frequency: Positive = 25
    """Iterations between checkpoints."""
    grad_norm: float = 1.0
    entropy_coef: float = 0.0
    truncate_grads: bool = True
    e_clip: float = 0.2
    horizon_length: Positive = 16
    """Time steps per iteration."""
    minibatch_size: Positive = 8192
    """At most: Isaac Lab's is made for 4096 environments, and rl_games refuses one that does not divide the batch."""
    mini_epochs: Positive = 8
    critic_coef: float = 4
    clip_value: bool = True
    seq_length: Positive = 4
    bounds_loss_coef: float = 0.0001


@dataclass(frozen=True)
class ParamsConfig:
    """The one entry of the file."""

    config: AlgorithmConfig
    seed: Annotated[int, Field(ge=0)] = 42
    env: EnvConfig = field(default_factory=EnvConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True)
class AgentConfig:
    """One of Isaac Lab's `rl_games_ppo_cfg.yaml`."""

    params: ParamsConfig

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.params.seed

    @property
    def experiment(self) -> str:
        """Directory of the runs below `logs/rl_games`."""
        return self.params.config.name

    @property
    def run_suffix(self) -> str:
        """What Isaac Lab's train.py appends to a run's time."""
        return self.params.config.full_experiment_name

    @property
    def iterations(self) -> int:
        """Iterations in total."""
        return self.params.config.max_epochs

    @property
    def steps_per_iteration(self) -> int:
        """Steps of each environment per iteration."""
        return self.params.config.horizon_length

    def seeded(self, seed: int | None) -> Self:
        """Return these settings with a request's seed."""
        return self if seed is None else replace(self, params=replace(self.params, seed=seed))

    def requested(self, training: TrainingConfig) -> Self:
        """Return these settings with the values of a request to train."""
        params = self.params
        config = replace(params.config, max_epochs=training.max_iterations)
        if training.checkpoint_interval is not None:
            config = replace(config, save_frequency=training.checkpoint_interval)
        return replace(self, params=replace(params, config=config)).seeded(training.seed)


CARTPOLE = AgentConfig(ParamsConfig(AlgorithmConfig("cartpole")))
CARTPOLE_DIRECT = AgentConfig(
    ParamsConfig(
        AlgorithmConfig(
            "cartpole_direct",
            normalize_input=True,
            normalize_value=True,
            reward_shaper=RewardShaperConfig(scale_value=0.1),
            normalize_advantage=True,
            learning_rate=5.0e-4,
            horizon_length=32,
            minibatch_size=16384,
        )
    )
)


def translate(agent: AgentConfig, num_envs: int) -> dict[str, Any]:
    """Write an agent's settings as rl_games reads them, including constants of Isaac Lab's files.

    The reward shaper stays a description: rl_games wants an object, which the adapter makes.
    """
    config = asdict(agent.params.config)
    config["minibatch_size"] = fitting_minibatch(config["horizon_length"] * num_envs, config["minibatch_size"])
    del config["full_experiment_name"]
    initialiser, regulariser = {"name": "default"}, {"name": "None"}
    return {
        "algo": {"name": "a2c_continuous"},
        "model": {"name": "continuous_a2c_logstd"},
        "network": {
            "name": "actor_critic",
            "separate": False,
            "space": {
                "continuous": {
                    "mu_activation": "None",
                    "sigma_activation": "None",
                    "mu_init": initialiser,
                    "sigma_init": {"name": "const_initializer", "val": 0},
                    "fixed_sigma": True,
                }
            },
            "mlp": {**asdict(agent.params.network.mlp), "initializer": initialiser, "regularizer": regulariser},
        },
        "config": {
            **config,
            "env_name": "rlgpu",
            "multi_gpu": False,
            "ppo": True,
            "mixed_precision": False,
            "num_actors": num_envs,
            # Compiling takes longer than training a cart-pole.
            "torch_compile": False,
        },
    }
