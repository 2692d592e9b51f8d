"""rsl_rl: trains with its own PPO and runner, and loads what it saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from torch import Tensor, nn

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.libraries.rsl_rl_runner import LiveWriter, WatchedRunner, load_networks, recurrent
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.watch import TrainingWatch
from gaitway.simulators.embedded.libraries import Training
from gaitway.simulators.embedded.libraries.rsl_rl_config import AgentConfig, translate
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

OnStep = Callable[[Step], None]


def train(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> None:
    """Train to `agent.max_iterations` iterations; the last checkpoint is `model_{max_iterations - 1}.pt`."""
    torch.manual_seed(training.seed)
    settings = translate(agent) | {"logger": {"class_name": LiveWriter}}
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, training.on_step)
    completed = training.completed_iterations
    steps_per_iteration = agent.num_steps_per_env * environment.num_envs
    runner = _Runner(wrapped, settings, training)
    runner.watch(TrainingWatch(training.ranks, agent.max_iterations, completed, steps_per_iteration))
    runner.add_git_repo_to_log(__file__)
    given = training.continue_from or training.initial_weights
    if given is not None:
        contents = load_networks(runner, given, _settings(agent, "actor", "critic"), environment.device)
        if training.continue_from is not None:
            runner.continue_from(contents, completed, training.ranks)
    # Isaac Lab's train.py spreads the first resets over an episode's length, so that not all environments end at once.
    runner.train_on(agent.max_iterations - completed, init_at_random_ep_len=True)


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> TrainedPolicy:
    """Load a checkpoint's policy, which then acts without noise."""
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, None)
    runner = _AnyDeviceRunner(wrapped, translate(agent), log_dir=None, device=str(environment.device))
    load_networks(runner, checkpoint, _settings(agent, "actor"), environment.device)
    actor = runner.get_inference_policy(str(environment.device))

    def act(observations: Tensor) -> Tensor:
        actions: Tensor = actor(_as_observation_groups(observations))
        return wrapped.clip(actions)

    limit = agent.clip_actions
    clip = nn.Identity() if limit is None else nn.Hardtanh(-limit, limit)
    memory = None
    if agent.policy.is_recurrent:
        network, memory = recurrent(actor, clip)
    else:
        network = nn.Sequential(actor.as_jit(), clip)
    normalised = "shifted and scaled" if agent.policy.actor_obs_normalization else "unchanged"
    clipped = "as the network gives them" if limit is None else f"clipped to [-{limit:g}, {limit:g}]"
    return TrainedPolicy(act, network, f"observations {normalised}; actions {clipped}", memory)


class _RslRlEnvironment(VecEnv):  # type: ignore[misc]
    """The environment in rsl_rl's form: observations in groups, one flag for every end of an episode."""

    def __init__(self, environment: VectorEnvironment, clip_actions: float | None, on_step: OnStep | None) -> None:
        self.num_envs = environment.num_envs
        self.num_actions = environment.num_actions
        self.max_episode_length = environment.max_episode_length
        self.device = environment.device
        self.cfg: dict[str, Any] = {}
        self._environment = environment
        self._clip_actions = clip_actions
        self._on_step = on_step

    @property
    def episode_length_buf(self) -> Tensor:
        return self._environment.episode_lengths

    @episode_length_buf.setter
    def episode_length_buf(self, lengths: Tensor) -> None:
        self._environment.episode_lengths = lengths

    def get_observations(self) -> TensorDict:
        return _as_observation_groups(self._environment.observe())

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Tensor]]:
        step = self._environment.step(self.clip(actions))
        if self._on_step is not None:
            self._on_step(step)
        ended = (step.terminated | step.time_outs).long()
        return _as_observation_groups(step.observations), step.rewards, ended, {"time_outs": step.time_outs}

    def clip(self, actions: Tensor) -> Tensor:
        return actions if self._clip_actions is None else actions.clamp(-self._clip_actions, self._clip_actions)


class _AnyDeviceRunner(OnPolicyRunner):  # type: ignore[misc]
    """Trains on any device, alone or, according to the ranks, with other processes."""

    ranks = Ranks()

    def _configure_multi_gpu(self) -> None:
        """Use the process group as it is: the library's own way accepts only CUDA."""
        ranks = self.ranks
        self.is_distributed = ranks.is_distributed
        self.gpu_global_rank, self.gpu_local_rank, self.gpu_world_size = ranks.rank, ranks.local_rank, ranks.world_size
        group = {"global_rank": ranks.rank, "local_rank": ranks.local_rank, "world_size": ranks.world_size}
        self.cfg["multi_gpu"] = group if ranks.is_distributed else None


class _Runner(_AnyDeviceRunner, WatchedRunner):
    """Trains in the processes that the ranks name, watched."""

    def __init__(self, env: _RslRlEnvironment, settings: dict[str, Any], training: Training) -> None:
        self.ranks = training.ranks
        log_dir = str(training.directory) if training.ranks.leads else None
        super().__init__(env, settings, log_dir=log_dir, device=str(env.device))


def _as_observation_groups(observations: Tensor) -> TensorDict:
    return TensorDict({"policy": observations}, batch_size=observations.shape[:1])


def _settings(agent: AgentConfig, *networks: str) -> dict[str, str]:
    """Name the settings of each network that decide whether a checkpoint fits."""
    settings = {}
    for name in networks:
        dims, normalised = (getattr(agent.policy, f"{name}_{what}") for what in ("hidden_dims", "obs_normalization"))
        settings[name] = (
            f"agent.policy.{name}_hidden_dims={list(dims)}, agent.policy.{name}_obs_normalization={normalised}"
        )
    return settings
