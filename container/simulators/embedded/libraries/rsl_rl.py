"""rsl_rl: trains with its own PPO and runner, and loads what it saved."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from rsl_rl.utils import LogWriter
from tensordict import TensorDict
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from container.simulators.embedded.environment import Policy, Step, VectorEnvironment
from container.simulators.embedded.files import written_whole
from container.simulators.embedded.libraries.rsl_rl_config import AgentConfig, translate
from gaitway.contracts.errors import RequestError

OnStep = Callable[[Step], None]


def train(
    environment: VectorEnvironment,
    agent: AgentConfig,
    directory: Path,
    initial_weights: Path | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Train for `agent.max_iterations` iterations; the last checkpoint is `model_{max_iterations - 1}.pt`.

    Args:
        environment: Where to train.
        agent: How to train.
        directory: Where checkpoints, TensorBoard events and git diffs go.
        initial_weights: Checkpoint whose networks a new training starts from, at iteration 0.
        on_step: Called after each step of the environment.

    Raises:
        RequestError: The initial weights cannot be read, or do not fit the agent's networks.
        ValueError: The environment returned NaN; rsl_rl says which.
    """
    torch.manual_seed(agent.seed)
    settings = translate(agent) | {"logger": {"class_name": _LiveWriter}}
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, on_step)
    runner = _Runner(wrapped, settings, log_dir=str(directory), device=str(environment.device))
    runner.add_git_repo_to_log(__file__)
    if initial_weights is not None:
        checkpoint = _read_checkpoint(initial_weights, environment.device)
        _load_network(runner.alg.actor, checkpoint, "actor", agent.policy.actor_hidden_dims, initial_weights)
        _load_network(runner.alg.critic, checkpoint, "critic", agent.policy.critic_hidden_dims, initial_weights)
    # Isaac Lab's train.py spreads the first resets over an episode's length, so that not all environments end at once.
    runner.learn(agent.max_iterations, init_at_random_ep_len=True)


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> Policy:
    """Load a checkpoint's policy, which then acts without noise.

    Raises:
        RequestError: The checkpoint cannot be read, or does not fit the agent's networks.
    """
    wrapped = _RslRlEnvironment(environment, agent.clip_actions, None)
    runner = OnPolicyRunner(wrapped, translate(agent), log_dir=None, device=str(environment.device))
    contents = _read_checkpoint(checkpoint, environment.device)
    _load_network(runner.alg.actor, contents, "actor", agent.policy.actor_hidden_dims, checkpoint)
    actor = runner.get_inference_policy(str(environment.device))

    def act(observations: Tensor) -> Tensor:
        actions: Tensor = actor(_as_observation_groups(observations))
        return wrapped.clip(actions)

    return act


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


class _Runner(OnPolicyRunner):  # type: ignore[misc]
    """Saves checkpoints whole, since they are uploaded while training goes on and a signal may end it at any time."""

    def save(self, path: str, infos: dict[str, Any] | None = None) -> None:
        with written_whole(Path(path)) as temporary:
            super().save(str(temporary), infos)


class _LiveWriter(SummaryWriter, LogWriter):  # type: ignore[misc]
    """TensorBoard events that can be followed while training goes on: rsl_rl's own are up to ten seconds late."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir, flush_secs=1)

    def stop(self) -> None:
        self.close()


def _as_observation_groups(observations: Tensor) -> TensorDict:
    return TensorDict({"policy": observations}, batch_size=observations.shape[:1])


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        # A checkpoint may come from anybody: tensors are loaded, code is not.
        contents = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise RequestError(f"{path} cannot be read as a checkpoint of rsl_rl: {error}") from error
    if not isinstance(contents, dict) or "actor_state_dict" not in contents:
        found = ", ".join(map(str, contents)) if isinstance(contents, dict) else type(contents).__name__
        raise RequestError(f"{path} is no checkpoint of rsl-rl-lib 5: it holds {found}, not actor_state_dict")
    return contents


def _load_network(
    network: torch.nn.Module, checkpoint: dict[str, Any], name: str, hidden_dims: tuple[int, ...], path: Path
) -> None:
    try:
        network.load_state_dict(checkpoint[f"{name}_state_dict"])
    except (KeyError, RuntimeError) as error:
        raise RequestError(
            f"{path} holds no {name} that fits agent.policy.{name}_hidden_dims={list(hidden_dims)}: "
            f"give the hydraOverrides that it was trained with ({error})"
        ) from error
