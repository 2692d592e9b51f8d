"""rl_games: its own agents and player, watched and continued."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import torch
from isaaclab_rl.rl_games import RlGamesVecEnvWrapper
from rl_games.algos_torch import a2c_continuous, a2c_discrete
from rl_games.torch_runner import Runner
from torch import Tensor, nn

from gaitway.simulators.common.isaaclab.training import LoadedPolicy, Training
from gaitway.simulators.common.libraries.minibatch import fit_minibatches
from gaitway.simulators.common.libraries.rl_games import (
    MeanActions,
    RecurrentMeanActions,
    WatchedAlgorithm,
    describe,
    load_model,
    read,
    states_of,
)
from gaitway.simulators.common.policy import Memory

_AGENTS = ((a2c_continuous, "A2CAgent"), (a2c_discrete, "DiscreteA2CAgent"))


def watch(training: Training) -> None:
    """Make rl_games' runner use our agents instead of its own."""
    _Agent.training = training
    for module, name in _AGENTS:
        setattr(module, name, type(name, (_Agent, getattr(module, name)), {}))


class _Agent(WatchedAlgorithm):
    """Reports every iteration, saves checkpoints whole, and continues to the run's total."""

    training: ClassVar[Training]
    algo_observer: Any
    vec_env: Any
    horizon_length: int
    num_actors: int
    ppo_device: str
    experiment_dir: str
    network: Any

    def __init__(self, base_name: str, params: dict[str, Any]) -> None:
        training = self.training
        fit_minibatches(params)
        super().__init__(base_name, params)  # type: ignore[call-arg]
        self.watch(training.watch(self.horizon_length * self.num_actors), training.ranks)
        tell, observer = self.algo_observer.after_print_stats, self.algo_observer

        def after_print_stats(frame: int, epoch_num: int, total_time: float) -> None:
            tell(frame, epoch_num, total_time)
            if training.ranks.leads:
                self.save_in_silence(epoch_num)

        observer.after_print_stats = after_print_stats

    def train(self) -> None:
        """Train to the end of the run."""
        training = self.training
        directory = training.gather(Path(self.experiment_dir), self.vec_env.env)
        if training.ranks.leads:
            # Open files move with their directory.
            self.experiment_dir, self.nn_dir = str(directory), str(directory / "nn")
            Path(self.nn_dir).mkdir(exist_ok=True)
        training.restore_counter(self.vec_env.env, directory, self.horizon_length)
        job = training.job
        given = job.continue_from or job.resume_checkpoint
        if given is not None:
            self.load(given, torch.device(self.ppo_device), _SETTING, everything=job.continue_from is not None)
        if training.has_work:
            super().train()  # type: ignore[misc]
        self.finish()
        checkpoint = next(directory.glob(f"nn/last_*_ep_{training.total}_*.pth"), directory / "nn")
        training.finish(_policy(self.model, self.vec_env.env, self.ppo_device), directory, checkpoint)


class _Adapter:
    def __init__(self, environment: gymnasium.Env[Any, Any], agent: dict[str, Any]) -> None:
        params = agent["params"]
        limits = params["env"]
        self._wrapped = RlGamesVecEnvWrapper(
            environment,
            params["config"]["device"],
            limits.get("clip_observations", math.inf),
            limits.get("clip_actions", math.inf),
            limits.get("obs_groups"),
            limits.get("concate_obs_groups", True),
        )
        params["config"] |= {
            "num_actors": self._wrapped.num_envs,
            "env_info": self._wrapped.get_env_info(),
            "vec_env": self._wrapped,
        }
        runner = Runner()
        runner.load(agent)
        self._player = runner.create_player()
        self._player.has_batch_dimension = True
        self.num_actions: int = gymnasium.spaces.flatdim(self._wrapped.unwrapped.single_action_space)
        self.device = torch.device(self._wrapped.device)

    def reset(self) -> Tensor:
        observations: Tensor = self._wrapped.reset()["obs"]
        return observations

    def step(self, actions: Tensor) -> Tensor:
        observations: Tensor = self._wrapped.step(actions)[0]["obs"]
        return observations

    def load(self, checkpoint: Path) -> LoadedPolicy:
        player = self._player
        load_model(player.model, read(checkpoint, self.device), _SETTING, checkpoint)
        policy = _policy(player.model, self._wrapped, player.device_name)
        if not player.is_rnn:
            return policy
        player.batch_size = self._wrapped.num_envs
        player.init_rnn()

        def act(observations: Tensor) -> Tensor:
            actions: Tensor = player.get_action(observations, is_deterministic=True)
            return actions

        def forget(ended: Tensor) -> None:
            for state in player.states:
                state[:, ended, :] = 0

        return LoadedPolicy(act, policy.num_observations, policy.device, None, "it has a memory", forget)


adapt = _Adapter

_SETTING = "agent.params.network and agent.params.config.normalize_input"
"""What decides whether a checkpoint fits."""


def _policy(model: Any, wrapped: Any, device: str) -> LoadedPolicy:  # noqa: ANN401
    """Describe the policy that a model holds; it acts by its mean actions, as the library's player does."""
    model.eval()
    clip_observations, clip_actions = wrapped._clip_obs, wrapped._clip_actions
    space = wrapped.observation_space

    states: list[Tensor] = []

    def act(observations: Tensor) -> Tensor:
        if model.is_rnn() and not states:
            sizes = states_of(model).values()
            states.extend(torch.zeros(layers, len(observations), size, device=device) for layers, size in sizes)
        inputs = {
            "is_train": False,
            "prev_actions": None,
            "obs": observations.clamp(-clip_observations, clip_observations),
            "rnn_states": states or None,
        }
        result = model(inputs)
        states[:] = result["rnn_states"] or []
        actions: Tensor = result["mus"].clamp(-1, 1) * clip_actions
        return actions

    network: nn.Module | None = None
    memory = None
    words = "it is not a function of a single tensor of observations"
    if len(getattr(space, "shape", None) or ()) == 1:
        network = (RecurrentMeanActions if model.is_rnn() else MeanActions)(model, clip_observations, clip_actions)
        memory = Memory(states_of(model), states.clear) if model.is_rnn() else None
        words = describe(clip_observations, clip_actions, bool(model.normalize_input))
    size = math.prod(getattr(space, "shape", None) or (0,))
    return LoadedPolicy(act, size, torch.device(device), network, words, memory=memory)
