"""sb3: the PPO of Stable-Baselines3, watched and continued."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import stable_baselines3
import torch
from isaaclab_rl.sb3 import Sb3VecEnvWrapper, process_sb3_cfg
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.errors import NotANumberError
from gaitway.simulators.common.isaaclab.training import LoadedPolicy, Training
from gaitway.simulators.common.libraries.sb3 import (
    MeanActions,
    WatchedPpo,
    describe,
    load_weights,
    normalise,
    read,
)
from gaitway.simulators.common.watch import ENVIRONMENT

_NORMALISES = ("normalize_input", "normalize_value", "clip_obs")


def watch(training: Training) -> None:
    """Make Isaac Lab use our PPO instead of the library's."""
    _Ppo.training = training
    stable_baselines3.PPO = _Ppo  # type: ignore[misc]


class _Ppo(WatchedPpo):
    """Reports every iteration, and continues to the run's total."""

    training: ClassVar[Training]

    def learn(self, total_timesteps: int, *_: Any, **__: Any) -> _Ppo:  # noqa: ANN401
        """Train to the end of the run; Isaac Lab's callbacks would save and log at intervals of their own."""
        training, environment = self.training, self.env
        assert environment is not None
        assert self.tensorboard_log is not None
        made = Path(self.tensorboard_log)
        directory = training.gather(made, environment.unwrapped)
        job = training.job
        interval = job.asks(TrainingConfig).checkpoint_interval
        watch = training.watch(self.n_steps * environment.num_envs)
        self.watch(watch, environment, directory, training.total, interval, _setting(self))
        training.restore_counter(environment.unwrapped, directory, self.n_steps)
        given = job.continue_from or job.resume_checkpoint
        if given is not None:
            self.load_from(given, everything=job.continue_from is not None)
        if training.has_work:
            try:
                super().learn(training.total * self._length - self.num_timesteps, reset_num_timesteps=False)
            except ValueError as error:
                # torch's distributions refuse NaN.
                if "nan" not in str(error).lower():
                    raise
                raise NotANumberError(ENVIRONMENT, watch.completed + 1) from error
        self.logger.close()
        if isinstance(environment, VecNormalize):
            # Isaac Lab writes its own file with code in it; ours is in the checkpoint.
            environment.save = lambda save_path: None  # type: ignore[method-assign]
        training.finish(_policy(self.policy, environment, self.device), directory, self.checkpoint())
        return self

    def save(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Do nothing: Isaac Lab saves the last checkpoint once more, as model.zip."""


class _Adapter:
    def __init__(self, environment: gymnasium.Env[Any, Any], agent: dict[str, Any]) -> None:
        self._wrapped = Sb3VecEnvWrapper(environment)
        settings = process_sb3_cfg(copy.deepcopy(agent), self._wrapped.num_envs)
        policy = settings.pop("policy")
        settings.pop("n_timesteps", None)
        normalising = {name: settings.pop(name) for name in _NORMALISES if name in settings}
        self._normalised: VecEnv = self._wrapped
        if normalising.get("normalize_input"):
            self._normalised = VecNormalize(
                self._wrapped,
                training=False,
                norm_reward=normalising.get("normalize_value", False),
                clip_obs=normalising.get("clip_obs", 100.0),
            )
        settings["device"] = self.device = torch.device(self._wrapped.unwrapped.device)
        self._ppo = stable_baselines3.PPO(policy, self._normalised, **settings)
        self.num_actions: int = gymnasium.spaces.flatdim(self._wrapped.action_space)

    def reset(self) -> Tensor:
        return self._tensor(self._wrapped.reset())

    def step(self, actions: Tensor) -> Tensor:
        return self._tensor(self._wrapped.step(actions.cpu().numpy())[0])

    def load(self, checkpoint: Path) -> LoadedPolicy:
        load_weights(self._ppo.policy, self._normalised, read(checkpoint, self.device), _setting(self._ppo), checkpoint)
        return _policy(self._ppo.policy, self._normalised, self.device)

    def _tensor(self, observations: np.ndarray[Any, Any]) -> Tensor:
        return torch.as_tensor(observations, device=self.device)


adapt = _Adapter


def _policy(policy: Any, environment: VecEnv, device: torch.device) -> LoadedPolicy:  # noqa: ANN401
    """Describe the policy, which acts by its mean actions."""
    policy.set_training_mode(False)

    def act(observations: Tensor) -> Tensor:
        actions, _ = policy.predict(normalise(environment, observations.cpu().numpy()), deterministic=True)
        return torch.from_numpy(actions).to(device)

    size = gymnasium.spaces.flatdim(environment.observation_space)
    return LoadedPolicy(act, size, device, MeanActions(policy, environment), describe(environment))


def _setting(ppo: Any) -> str:  # noqa: ANN401
    """Name the setting that decides whether a checkpoint fits."""
    return f"agent.policy_kwargs.net_arch={(ppo.policy_kwargs or {}).get('net_arch')}"
