"""rl_games: trains with its own continuous actor-critic, and loads what it saved."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from tensorboardX import SummaryWriter
from torch import Tensor

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.libraries.rl_games import MeanActions, WatchedAlgorithm, describe, load_model, read
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.ranks import replaced
from gaitway.simulators.common.watch import TrainingWatch
from gaitway.simulators.embedded.libraries import Training
from gaitway.simulators.embedded.libraries.rl_games_config import AgentConfig, translate
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

# It compiles a network for its own tests on import, and importing the compiler takes longer than everything else.
with replaced(torch, "compile", lambda function: function):
    from rl_games.algos_torch.a2c_continuous import A2CAgent
    from rl_games.algos_torch.model_builder import ModelBuilder
    from rl_games.common import a2c_common
    from rl_games.common.algo_observer import AlgoObserver
    from rl_games.common.ivecenv import IVecEnv
    from rl_games.common.tr_helpers import DefaultRewardsShaper

OnStep = Callable[[Step], None]


def train(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> None:
    """Train to `agent.iterations` epochs; the last checkpoint is `nn/last_{name}_ep_{iterations}_rew_{reward}.pth`."""
    random.seed(training.seed)
    np.random.seed(training.seed % 2**32)
    torch.manual_seed(training.seed)
    wrapped = _RlGamesEnvironment(environment, agent, training.on_step)
    with tempfile.TemporaryDirectory() as nowhere:
        # rl_games makes its directories in every process, but those that do not lead put nothing into them.
        directory = training.directory if training.ranks.leads else Path(nowhere)
        algorithm = _Algorithm(wrapped, agent, training, directory)
        given = training.continue_from or training.initial_weights
        if given is not None:
            algorithm.load(given, environment.device, _setting(agent), everything=training.continue_from is not None)
        algorithm.train()
        algorithm.finish()


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> TrainedPolicy:
    """Load a checkpoint's policy, which then acts by its mean actions."""
    wrapped = _RlGamesEnvironment(environment, agent, None)
    config = agent.params.config
    model = (
        ModelBuilder()
        .load(translate(agent, environment.num_envs))
        .build(
            {
                "actions_num": environment.num_actions,
                "input_shape": wrapped.observation_space.shape,
                "num_seqs": environment.num_envs,
                "value_size": 1,
                "normalize_value": config.normalize_value,
                "normalize_input": config.normalize_input,
            }
        )
    )
    model.to(environment.device)
    load_model(model, read(checkpoint, environment.device), _setting(agent), checkpoint)
    model.eval()
    limits = agent.params.env

    def act(observations: Tensor) -> Tensor:
        inputs = {"is_train": False, "prev_actions": None, "obs": wrapped.clip(observations), "rnn_states": None}
        # As the library's player does: the network's output is scaled to the range of actions.
        actions: Tensor = model(inputs)["mus"].clamp(-1, 1) * limits.clip_actions
        return actions

    words = describe(limits.clip_observations, limits.clip_actions, config.normalize_input)
    return TrainedPolicy(act, MeanActions(model, limits.clip_observations, limits.clip_actions), words)


class _RlGamesEnvironment(IVecEnv):  # type: ignore[misc]
    """The environment as Isaac Lab wraps it for rl_games: clipped observations and actions."""

    def __init__(self, environment: VectorEnvironment, agent: AgentConfig, on_step: OnStep | None) -> None:
        limits = agent.params.env
        self.observation_space = gymnasium.spaces.Box(
            -limits.clip_observations, limits.clip_observations, (environment.observe().shape[1],)
        )
        self.action_space = gymnasium.spaces.Box(-limits.clip_actions, limits.clip_actions, (environment.num_actions,))
        self.num_envs = environment.num_envs
        self.device = environment.device
        self._environment = environment
        self._limits = limits
        self._on_step = on_step

    def get_env_info(self) -> dict[str, Any]:
        return {"observation_space": self.observation_space, "action_space": self.action_space}

    def reset(self) -> dict[str, Tensor]:
        return {"obs": self.clip(self._environment.observe())}

    def step(self, actions: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, dict[str, Tensor]]:
        step = self._environment.step(actions.clamp(-self._limits.clip_actions, self._limits.clip_actions))
        if self._on_step is not None:
            self._on_step(step)
        ended = step.terminated | step.time_outs
        return {"obs": self.clip(step.observations)}, step.rewards, ended, {"time_outs": step.time_outs}

    def clip(self, observations: Tensor) -> Tensor:
        return observations.clamp(-self._limits.clip_observations, self._limits.clip_observations)


class _Observer(AlgoObserver):  # type: ignore[misc]
    """Saves at the interval when rl_games does not: until an episode has ended, it has no reward for the name."""

    algorithm: _Algorithm

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        self.algorithm.save_in_silence(epoch_num)


class _Algorithm(WatchedAlgorithm, A2CAgent):  # type: ignore[misc]
    """Saves complete checkpoints, and loads everything from one.

    Args:
        environment: Where to train.
        agent: How to train.
        training: From what.
        directory: Where `nn/` and `summaries/` go.
    """

    def __init__(
        self, environment: _RlGamesEnvironment, agent: AgentConfig, training: Training, directory: Path
    ) -> None:
        ranks = training.ranks
        observer = _Observer()
        params = translate(agent, environment.num_envs)
        params["config"] |= {
            "device": str(environment.device),
            "env_info": environment.get_env_info(),
            "vec_env": environment,
            "train_dir": str(directory.parent),
            "full_experiment_name": directory.name,
            "features": {"observer": observer},
            "reward_shaper": DefaultRewardsShaper(**params["config"]["reward_shaper"]),
        }
        if not ranks.leads:
            # The leading process decides about the learning rate.
            params["config"] |= {"print_stats": False, "lr_schedule": None}
        # rl_games' own events are up to two minutes late. The suffix: two attempts may begin in the same second.
        suffix = f".{training.completed_iterations}"
        live_writer = functools.partial(SummaryWriter, flush_secs=1, filename_suffix=suffix)
        writer = live_writer if ranks.leads else _no_writer
        with replaced(a2c_common, "SummaryWriter", writer):
            super().__init__("run", params)
        observer.algorithm = self
        # Not with its setting: rl_games would then require CUDA.
        self.multi_gpu = ranks.is_distributed
        self.global_rank, self.local_rank, self.world_size = ranks.rank, ranks.local_rank, ranks.world_size
        steps_per_iteration = self.horizon_length * environment.num_envs
        self.watch(TrainingWatch(ranks, agent.iterations, training.completed_iterations, steps_per_iteration), ranks)


def _no_writer(_: str) -> None:
    return None


def _setting(agent: AgentConfig) -> str:
    """Name the settings that decide whether a checkpoint fits."""
    return (
        f"agent.params.network.mlp.units={list(agent.params.network.mlp.units)} and "
        f"agent.params.config.normalize_input={agent.params.config.normalize_input}"
    )
