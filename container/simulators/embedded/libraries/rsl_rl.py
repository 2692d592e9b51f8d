"""rsl_rl: trains with its own PPO and runner, and loads what it saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from rsl_rl.utils import LogWriter
from tensordict import TensorDict
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from container.simulators.common.checkpoint_files import load_entry, read_checkpoint
from container.simulators.common.environment import Step
from container.simulators.common.errors import NotANumberError
from container.simulators.common.files import written_whole
from container.simulators.common.policy import TrainedPolicy
from container.simulators.common.ranks import Ranks
from container.simulators.common.watch import ENVIRONMENT, TrainingWatch
from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.libraries import Training
from container.simulators.embedded.libraries.rsl_rl_config import AgentConfig, translate

OnStep = Callable[[Step], None]


def train(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> None:
    """Train to `agent.max_iterations` iterations; the last checkpoint is `model_{max_iterations - 1}.pt`."""
    torch.manual_seed(training.seed)
    settings = translate(agent) | {"logger": {"class_name": _LiveWriter}}
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, training.on_step)
    completed = training.completed_iterations
    steps_per_iteration = agent.num_steps_per_env * environment.num_envs
    watch = TrainingWatch(training.ranks, agent.max_iterations, completed, steps_per_iteration)
    runner = _Runner(wrapped, settings, training, watch)
    runner.add_git_repo_to_log(__file__)
    if training.initial_weights is not None:
        _load_networks(runner, agent, training.initial_weights)
    if training.continue_from is not None:
        contents = _load_networks(runner, agent, training.continue_from)
        # With the optimiser comes the learning rate, which the adaptive schedule has moved.
        runner.alg.load(contents, {"optimizer": True}, strict=True)
        runner.current_learning_iteration = completed
        runner.logger.tot_timesteps = completed * steps_per_iteration * training.ranks.world_size
    try:
        # Isaac Lab's train.py spreads the first resets over an episode's length, so that not all environments end at
        # once.
        runner.learn(agent.max_iterations - completed, init_at_random_ep_len=True)
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        raise NotANumberError(ENVIRONMENT, watch.completed + 1) from error


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> TrainedPolicy:
    """Load a checkpoint's policy, which then acts without noise."""
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, None)
    runner = _AnyDeviceRunner(wrapped, translate(agent), log_dir=None, device=str(environment.device))
    contents = _read(checkpoint, environment.device)
    _load_network(runner, agent, contents, "actor", checkpoint)
    actor = runner.get_inference_policy(str(environment.device))

    def act(observations: Tensor) -> Tensor:
        actions: Tensor = actor(_as_observation_groups(observations))
        return wrapped.clip(actions)

    network: nn.Module = actor.as_jit()
    limit = agent.clip_actions
    if limit is not None:
        network = nn.Sequential(network, nn.Hardtanh(-limit, limit))
    normalised = "shifted and scaled" if agent.policy.actor_obs_normalization else "taken as they are"
    clipped = "as the network gives them" if limit is None else f"clipped to [-{limit:g}, {limit:g}]"
    return TrainedPolicy(act, network, f"observations {normalised}; actions {clipped}")


class _RslRlEnvironment(VecEnv):  # type: ignore[misc]
    """The environment as rsl_rl wants it: observations in groups, one flag for every end of an episode."""

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
    """Trains together with others on any device; alone, unless it is told who they are."""

    ranks = Ranks()

    def _configure_multi_gpu(self) -> None:
        """Take the process group as it is: the library's own way accepts CUDA only."""
        ranks = self.ranks
        self.is_distributed = ranks.is_distributed
        self.gpu_global_rank, self.gpu_local_rank, self.gpu_world_size = ranks.rank, ranks.local_rank, ranks.world_size
        group = {"global_rank": ranks.rank, "local_rank": ranks.local_rank, "world_size": ranks.world_size}
        self.cfg["multi_gpu"] = group if ranks.is_distributed else None


class _Runner(_AnyDeviceRunner):
    """Saves checkpoints whole, since they are uploaded while training goes on and a signal may end it at any time."""

    def __init__(
        self, env: _RslRlEnvironment, settings: dict[str, Any], training: Training, watch: TrainingWatch
    ) -> None:
        self.ranks = training.ranks
        log_dir = str(training.directory) if training.ranks.leads else None
        super().__init__(env, settings, log_dir=log_dir, device=str(env.device))
        self._watch = watch
        self._update = self.alg.update
        self.alg.update = self._update_watched
        self._log = self.logger.log
        self.logger.log = self._log_watched

    def save(self, path: str, infos: dict[str, Any] | None = None) -> None:
        with written_whole(Path(path)) as temporary:
            super().save(str(temporary), infos)

    def _update_watched(self) -> dict[str, float]:
        try:
            losses: dict[str, float] = self._update()
        except (RuntimeError, ValueError):
            # Weights that are no numbers fail in the next mini-batch already, in other words.
            self._watch.check({}, self._states())
            raise
        rewards = self.logger.rewbuffer
        self._watch.iteration_done(losses, self._states(), sum(rewards) / len(rewards) if rewards else None)
        return losses

    def _log_watched(self, **iteration: Any) -> None:  # noqa: ANN401
        self._log(**iteration)
        self._watch.stop_if_asked(self._save_stopped)

    def _save_stopped(self) -> Path:
        path = Path(self.logger.log_dir, f"model_{self.current_learning_iteration}.pt")
        self.save(str(path))
        self.logger.stop_logging_writer()
        return path

    def _states(self) -> dict[str, Iterable[Tensor]]:
        return {
            f"the weights of the {name}": getattr(self.alg, name).state_dict().values() for name in ("actor", "critic")
        }


class _LiveWriter(SummaryWriter, LogWriter):  # type: ignore[misc]
    """TensorBoard events that can be followed while training goes on: rsl_rl's own are up to ten seconds late."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir, flush_secs=1)

    def stop(self) -> None:
        self.close()


def _as_observation_groups(observations: Tensor) -> TensorDict:
    return TensorDict({"policy": observations}, batch_size=observations.shape[:1])


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    return read_checkpoint(path, device, "rsl_rl", "rsl-rl-lib 5", "actor_state_dict")


def _load_networks(runner: OnPolicyRunner, agent: AgentConfig, path: Path) -> dict[str, Any]:
    contents = _read(path, runner.env.device)
    for name in ("actor", "critic"):
        _load_network(runner, agent, contents, name, path)
    return contents


def _load_network(runner: OnPolicyRunner, agent: AgentConfig, contents: dict[str, Any], name: str, path: Path) -> None:
    hidden_dims = getattr(agent.policy, f"{name}_hidden_dims")
    setting = f"agent.policy.{name}_hidden_dims={list(hidden_dims)}"
    load_entry(getattr(runner.alg, name).load_state_dict, contents, f"{name}_state_dict", setting, path)
