"""rl_games: trains with its own continuous actor-critic, and loads what it saved."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from rl_games.algos_torch.a2c_continuous import A2CAgent
from rl_games.algos_torch.model_builder import ModelBuilder
from rl_games.common import a2c_common
from rl_games.common.algo_observer import AlgoObserver
from rl_games.common.ivecenv import IVecEnv
from rl_games.common.tr_helpers import DefaultRewardsShaper
from tensorboardX import SummaryWriter
from torch import Tensor, nn

from container.simulators.common.checkpoint_files import load_entry, read_checkpoint
from container.simulators.common.environment import Step
from container.simulators.common.files import written_whole
from container.simulators.common.policy import TrainedPolicy
from container.simulators.common.ranks import average_moments, replaced
from container.simulators.common.watch import ENVIRONMENT, TrainingWatch
from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.libraries import Training
from container.simulators.embedded.libraries.rl_games_config import AgentConfig, translate

OnStep = Callable[[Step], None]

_CLIP_NORMALISED = 5.0
"""Written into rl_games' `RunningMeanStd`."""


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
            contents = _read(given, environment.device)
            _load_model(algorithm.model, contents, agent, given)
            if training.continue_from is not None:
                algorithm.set_full_state_weights(contents)
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
    _load_model(model, _read(checkpoint, environment.device), agent, checkpoint)
    model.eval()
    limits = agent.params.env

    def act(observations: Tensor) -> Tensor:
        inputs = {"is_train": False, "prev_actions": None, "obs": wrapped.clip(observations), "rnn_states": None}
        # As the library's player does: the network's output stands for the range of actions.
        actions: Tensor = model(inputs)["mus"].clamp(-1, 1) * limits.clip_actions
        return actions

    scaled = ", shifted, scaled and clipped to 5" if config.normalize_input else ""
    words = f"observations clipped to {limits.clip_observations:g}{scaled}; actions clipped to {limits.clip_actions:g}"
    return TrainedPolicy(act, _MeanActions(model, limits.clip_observations, limits.clip_actions), words)


class _MeanActions(nn.Module):
    """What is left of the model without its distribution and its value."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: Any, clip_observations: float, clip_actions: float) -> None:  # noqa: ANN401
        super().__init__()
        self.network: Any = model.a2c_network
        self.normalises = bool(model.normalize_input)
        if self.normalises:
            # Not the library's own module: it is compiled, and a compiled module cannot be traced.
            normaliser = model.running_mean_std
            self.register_buffer("mean", normaliser.running_mean.float())
            self.register_buffer("deviation", torch.sqrt(normaliser.running_var.float() + normaliser.epsilon))
        self.clip_observations = clip_observations
        self.clip_actions = clip_actions

    def forward(self, observations: Tensor) -> Tensor:
        inputs = observations.clamp(-self.clip_observations, self.clip_observations)
        if self.normalises:
            inputs = ((inputs - self.mean) / self.deviation).clamp(-_CLIP_NORMALISED, _CLIP_NORMALISED)
        means: Tensor = self.network({"obs": inputs})[0]
        return means.clamp(-1, 1) * self.clip_actions


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
    """Saves at the interval where rl_games does not: as long as no episode has ended, it has no reward for the name."""

    algorithm: _Algorithm

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        if self.algorithm.game_rewards.current_size == 0 and epoch_num % self.algorithm.save_freq == 0:
            self.algorithm.save_numbered(epoch_num, "-inf")


class _Algorithm(A2CAgent):  # type: ignore[misc]
    """Saves checkpoints whole, and picks up from one all that it holds.

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
        # Not by its setting: rl_games would then insist on CUDA.
        self.multi_gpu = ranks.is_distributed
        self.global_rank, self.local_rank, self.world_size = ranks.rank, ranks.local_rank, ranks.world_size
        self._ranks = ranks
        self._best_reward: float | None = None
        steps_per_iteration = self.horizon_length * environment.num_envs
        self._watch = TrainingWatch(ranks, agent.iterations, training.completed_iterations, steps_per_iteration)

    def set_full_state_weights(self, weights: dict[str, Any], set_epoch: bool = True) -> None:
        super().set_full_state_weights(weights, set_epoch)
        # rl_games would begin again with the learning rate of the settings, and with no best reward.
        self.last_lr = self.optimizer.param_groups[0]["lr"]
        self._best_reward = float(self.last_mean_rewards)

    def update_epoch(self) -> int:
        if self._best_reward is not None:
            self.last_mean_rewards, self._best_reward = self._best_reward, None
        epoch: int = super().update_epoch()
        return epoch

    def train_epoch(self) -> tuple[Any, ...]:
        try:
            result: tuple[Any, ...] = super().train_epoch()
        except RuntimeError:
            # To draw actions from numbers that are none fails at once, in other words.
            self._watch.check({}, {ENVIRONMENT: [self.obs["obs"]], **self._states()})
            raise
        normalisers = [
            getattr(self.model, name)
            for name, used in (("running_mean_std", self.normalize_input), ("value_mean_std", self.normalize_value))
            if used
        ]
        average_moments([(each.running_mean, each.running_var) for each in normalisers], self._ranks)
        actor, critic = (torch.stack(losses).detach().mean() for losses in result[4:6])
        reward = float(self.game_rewards.get_mean().reshape(-1)[0]) if self.game_rewards.current_size else None
        losses = {"actor": float(actor), "critic": float(critic)}
        self._watch.iteration_done(losses, self._states(), reward)
        return result

    def _states(self) -> dict[str, Iterable[Tensor]]:
        return {"the weights of the model": self.model.state_dict().values()}

    def get_full_state_weights(self) -> dict[str, Any]:
        state: dict[str, Any] = super().get_full_state_weights()
        # A plain number: NumPy's own kind is read only by who trusts the file.
        return state | {"last_mean_rewards": float(state["last_mean_rewards"])}

    def save(self, fn: str) -> None:
        path = Path(f"{fn}.pth")
        if self.writer is not None:
            # Who goes on from this checkpoint logs nothing of what led to it: that must not wait in a buffer.
            self.writer.flush()
        with written_whole(path) as temporary:
            torch.save(self.get_full_state_weights(), temporary)
        print(f"=> saving checkpoint '{path}'")  # noqa: T201 - the library's own words

    def save_numbered(self, epoch: int, reward: str) -> None:
        """Save under the name that rl_games gives at its interval."""
        self.save(str(Path(self.nn_dir) / f"last_{self.config['name']}_ep_{epoch}_rew_{reward}"))

    def finish(self) -> None:
        """Write what is left of the events."""
        if self.writer is not None:
            self.writer.close()


def _no_writer(_: str) -> None:
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    return read_checkpoint(path, device, "rl_games", "rl-games 1", "model")


def _load_model(model: nn.Module, contents: dict[str, Any], agent: AgentConfig, path: Path) -> None:
    setting = (
        f"agent.params.network.mlp.units={list(agent.params.network.mlp.units)} and "
        f"agent.params.config.normalize_input={agent.params.config.normalize_input}"
    )
    load_entry(model.load_state_dict, {"model": _uncompiled(contents["model"])}, "model", setting, path)


def _uncompiled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop what torch.compile, which rl_games uses by default, puts in front of the names."""
    return {name.removeprefix("_orig_mod."): tensor for name, tensor in weights.items()}
