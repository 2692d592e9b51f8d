"""sb3: trains with the PPO of Stable-Baselines3, and loads what it saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.libraries.sb3 import (
    MeanActions,
    WatchedPpo,
    describe,
    load_weights,
    normalise,
    read,
)
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.watch import TrainingWatch
from gaitway.simulators.embedded.libraries import Training
from gaitway.simulators.embedded.libraries.sb3_config import AgentConfig
from gaitway.simulators.embedded.libraries.sb3_environment import Sb3Environment, normalised
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

OnStep = Callable[[Step], None]


def train(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> None:
    """Train to `agent.n_timesteps`; the last checkpoint is `model_{n_timesteps}_steps.zip`."""
    ppo = _make(environment, agent, training)
    given = training.continue_from or training.initial_weights
    if given is not None:
        ppo.load_from(given, everything=training.continue_from is not None)
    # Without a reset it continues its count.
    ppo.learn(agent.n_timesteps - ppo.num_timesteps, reset_num_timesteps=False)
    ppo.logger.close()


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> TrainedPolicy:
    """Load a checkpoint's policy, which then acts by its mean actions."""
    wrapped = normalised(Sb3Environment(environment, None, None), agent)
    policy = ActorCriticPolicy(
        wrapped.observation_space, wrapped.action_space, lambda _: agent.learning_rate, **_policy_arguments(agent)
    ).to(environment.device)
    load_weights(policy, wrapped, read(checkpoint, environment.device), _setting(agent), checkpoint)
    policy.set_training_mode(False)

    def act(observations: Tensor) -> Tensor:
        inputs = observations.cpu().numpy()
        actions, _ = policy.predict(normalise(wrapped, inputs), deterministic=True)
        return torch.from_numpy(actions).to(environment.device)

    return TrainedPolicy(act, MeanActions(policy, wrapped), describe(wrapped))


def _make(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> WatchedPpo:
    """Make the algorithm, with its watch."""
    iterations, length = agent.iterations(environment.num_envs), agent.n_steps * environment.num_envs
    watch = TrainingWatch(training.ranks, iterations, training.completed_iterations, length)
    wrapped = normalised(Sb3Environment(environment, training.on_step, watch), agent)
    with warnings.catch_warnings():
        # It warns against training small networks on a GPU; Isaac Lab also ignores that.
        warnings.filterwarnings("ignore", message="You are trying to run PPO on the GPU")
        ppo = WatchedPpo(
            agent.policy,
            wrapped,
            learning_rate=agent.learning_rate,
            n_steps=agent.n_steps,
            batch_size=agent.minibatch(environment.num_envs),
            n_epochs=agent.n_epochs,
            gamma=agent.gamma,
            gae_lambda=agent.gae_lambda,
            clip_range=agent.clip_range,
            ent_coef=agent.ent_coef,
            vf_coef=agent.vf_coef,
            max_grad_norm=agent.max_grad_norm,
            target_kl=agent.target_kl,
            policy_kwargs=_policy_arguments(agent),
            seed=training.seed % 2**32,
            device=environment.device,
        )
    ppo.watch(watch, wrapped, training.directory, iterations, training.checkpoint_interval, _setting(agent))
    return ppo


def _policy_arguments(agent: AgentConfig) -> dict[str, Any]:
    settings = agent.policy_kwargs
    return {
        "activation_fn": getattr(nn, settings.activation_fn.removeprefix("nn.")),
        "net_arch": list(settings.net_arch),
        "log_std_init": settings.log_std_init,
        "ortho_init": settings.ortho_init,
    }


def _setting(agent: AgentConfig) -> str:
    """Name the setting that decides whether a checkpoint fits."""
    return f"agent.policy_kwargs.net_arch={list(agent.policy_kwargs.net_arch)}"
