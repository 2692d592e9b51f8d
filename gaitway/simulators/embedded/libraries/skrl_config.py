"""Isaac Lab's agent settings for skrl, under the names of its `agents/skrl_ppo_cfg.yaml`.

A name that is a Python keyword ends with an underscore here, but not in overrides and files. What Isaac Lab's
files give and skrl 2 ignores (`random_timesteps`, `learning_starts`) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

from pydantic import Field

from gaitway.contracts.workload import TrainingConfig

Positive = Annotated[int, Field(ge=1)]
Activation = Literal["elu", "relu", "tanh", "sigmoid", "leaky_relu", "softplus", "softsign", "selu"]


LEFT_OUT = frozenset(
    {
        "memory",
        "agent.random_timesteps",
        "agent.learning_starts",
        "agent.state_preprocessor_kwargs",
        "agent.value_preprocessor_kwargs",
        "agent.experiment.write_interval",
        "trainer.environment_info",
        "trainer.close_environment_at_exit",
    }
)
"""Keys of Isaac Lab's files that are not read: scripts set them, or this simulator knows one value only."""


@dataclass(frozen=True)
class LayersConfig:
    """A multi-layer perceptron, as skrl's model instantiators describe it."""

    name: str = "net"
    input: Literal["OBSERVATIONS"] = "OBSERVATIONS"
    layers: tuple[Positive, ...] = (32, 32)
    activations: Activation = "elu"


@dataclass(frozen=True)
class GaussianPolicyConfig:
    """skrl's `GaussianMixin`."""

    class_: Literal["GaussianMixin"] = "GaussianMixin"
    clip_actions: Literal[False] = False
    clip_log_std: bool = True
    min_log_std: float = -20.0
    max_log_std: float = 2.0
    initial_log_std: float = 0.0
    network: tuple[LayersConfig, ...] = (LayersConfig(),)
    output: Literal["ACTIONS"] = "ACTIONS"


@dataclass(frozen=True)
class ValueConfig:
    """skrl's `DeterministicMixin`."""

    class_: Literal["DeterministicMixin"] = "DeterministicMixin"
    clip_actions: Literal[False] = False
    network: tuple[LayersConfig, ...] = (LayersConfig(),)
    output: Literal["ONE"] = "ONE"


@dataclass(frozen=True)
class ModelsConfig:
    """Policy and value function; they share the policy's layers unless they are separate."""

    separate: bool = False
    policy: GaussianPolicyConfig = field(default_factory=GaussianPolicyConfig)
    value: ValueConfig = field(default_factory=ValueConfig)


@dataclass(frozen=True)
class SchedulerConfig:
    """Arguments of skrl's `KLAdaptiveLR`."""

    kl_threshold: float = 0.008


@dataclass(frozen=True)
class ExperimentConfig:
    """The directory of a run, and how often it writes."""

    directory: str
    """Below `logs/skrl`."""
    experiment_name: str = ""
    """Appended to the name of the run's directory."""
    checkpoint_interval: Positive | Literal["auto"] = "auto"
    """Time steps between checkpoints, rounded up to whole iterations; a tenth of the training when "auto"."""


@dataclass(frozen=True)
class PpoConfig:
    """skrl's `PPO_CFG`, with the values of the manager-based cart-pole."""

    experiment: ExperimentConfig
    class_: Literal["PPO"] = "PPO"
    rollouts: Positive = 16
    """Time steps per iteration."""
    learning_epochs: Positive = 8
    mini_batches: Positive = 8
    discount_factor: float = 0.99
    lambda_: float = 0.95
    learning_rate: float = 3.0e-4
    learning_rate_scheduler: Literal["KLAdaptiveLR"] | None = "KLAdaptiveLR"
    learning_rate_scheduler_kwargs: SchedulerConfig = field(default_factory=SchedulerConfig)
    state_preprocessor: Literal["RunningStandardScaler"] | None = None
    """Of the observations: skrl 2 calls it `observation_preprocessor`."""
    value_preprocessor: Literal["RunningStandardScaler"] | None = None
    grad_norm_clip: float = 1.0
    ratio_clip: float = 0.2
    value_clip: float = 0.2
    clip_predicted_values: bool = True
    entropy_loss_scale: float = 0.0
    value_loss_scale: float = 2.0
    kl_threshold: float = 0.0
    rewards_shaper_scale: float = 1.0
    time_limit_bootstrap: bool = False


@dataclass(frozen=True)
class TrainerConfig:
    """skrl's `SequentialTrainer`."""

    class_: Literal["SequentialTrainer"] = "SequentialTrainer"
    timesteps: Positive = 2400
    """Set by the request: iterations times rollouts."""


@dataclass(frozen=True)
class AgentConfig:
    """One of Isaac Lab's `skrl_ppo_cfg.yaml`."""

    agent: PpoConfig
    seed: Annotated[int, Field(ge=0)] = 42
    models: ModelsConfig = field(default_factory=ModelsConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    @property
    def experiment(self) -> str:
        """Directory of the runs below `logs/skrl`."""
        return self.agent.experiment.directory

    @property
    def run_suffix(self) -> str:
        """What Isaac Lab's train.py appends to a run's time."""
        return "_".join(filter(None, ("ppo_torch", self.agent.experiment.experiment_name)))

    @property
    def iterations(self) -> int:
        """Iterations in total."""
        return self.trainer.timesteps // self.agent.rollouts

    @property
    def steps_per_iteration(self) -> int:
        """Steps of each environment per iteration."""
        return self.agent.rollouts

    @property
    def checkpoint_steps(self) -> int:
        """Time steps between checkpoints: whole iterations, since what a rollout has collected is in no checkpoint."""
        wanted = self.agent.experiment.checkpoint_interval
        steps = self.trainer.timesteps // 10 if wanted == "auto" else wanted
        return max(1, -(-steps // self.agent.rollouts)) * self.agent.rollouts

    def seeded(self, seed: int | None) -> Self:
        """Return these settings with a request's seed."""
        return self if seed is None else replace(self, seed=seed)

    def requested(self, training: TrainingConfig) -> Self:
        """Return these settings with the values of a request to train."""
        rollouts = self.agent.rollouts
        experiment = self.agent.experiment
        if training.checkpoint_interval is not None:
            experiment = replace(experiment, checkpoint_interval=training.checkpoint_interval * rollouts)
        return replace(
            self.seeded(training.seed),
            agent=replace(self.agent, experiment=experiment),
            trainer=replace(self.trainer, timesteps=training.max_iterations * rollouts),
        )


CARTPOLE = AgentConfig(PpoConfig(ExperimentConfig("cartpole")))
CARTPOLE_DIRECT = AgentConfig(
    PpoConfig(
        ExperimentConfig("cartpole_direct"),
        rollouts=32,
        learning_rate=5.0e-4,
        state_preprocessor="RunningStandardScaler",
        value_preprocessor="RunningStandardScaler",
        rewards_shaper_scale=0.1,
    )
)
