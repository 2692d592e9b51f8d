"""The environment in sb3's form: wrapped as Isaac Lab does, and normalised if the agent's settings say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.errors import NotANumberError
from gaitway.simulators.common.watch import ENVIRONMENT, TrainingWatch
from gaitway.simulators.embedded.libraries.sb3_config import AgentConfig
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

OnStep = Callable[[Step], None]

LIMIT = 100.0
"""Isaac Lab's wrapper sets these bounds for unbounded actions: the library clips to the bounds of a space."""


class Sb3Environment(VecEnv):
    """The environment as Isaac Lab wraps it for sb3: NumPy arrays, and an entry for each episode that has ended."""

    def __init__(self, environment: VectorEnvironment, on_step: OnStep | None, watch: TrainingWatch | None) -> None:
        self._environment = environment
        self._on_step = on_step
        self._watch = watch
        self._actions = torch.zeros(0)
        self._returns = np.zeros(environment.num_envs)
        self._lengths = np.zeros(environment.num_envs, dtype=np.int64)
        super().__init__(
            environment.num_envs,
            gymnasium.spaces.Box(-np.inf, np.inf, (environment.observe().shape[1],)),
            gymnasium.spaces.Box(-LIMIT, LIMIT, (environment.num_actions,)),
        )

    def reset(self) -> np.ndarray[Any, Any]:
        """Return the first observations: the environment has just been made."""
        observations: np.ndarray[Any, Any] = self._environment.observe().cpu().numpy()
        return observations

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Take the actions of one step."""
        self._actions = torch.from_numpy(actions).to(self._environment.device)

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Apply them; return observations, rewards, ends of episodes and information about these.

        Raises:
            NotANumberError: An observation or reward is not finite.
        """
        step = self._environment.step(self._actions)
        if self._on_step is not None:
            self._on_step(step)
        observations, rewards = step.observations.cpu().numpy(), step.rewards.cpu().numpy()
        if self._watch is not None and not (np.isfinite(observations).all() and np.isfinite(rewards).all()):
            raise NotANumberError(ENVIRONMENT, self._watch.completed + 1)
        terminated, timed_out = step.terminated.cpu().numpy(), step.time_outs.cpu().numpy()
        ended = terminated | timed_out
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in ended.nonzero()[0]:
            infos[index] = {
                "episode": {"r": float(self._returns[index]), "l": int(self._lengths[index])},
                "TimeLimit.truncated": bool(timed_out[index] and not terminated[index]),
                # Like Isaac Lab's wrapper: the observation of the new episode, since resets happen within a step.
                "terminal_observation": observations[index],
            }
        self._returns[ended] = 0
        self._lengths[ended] = 0
        return observations, rewards, ended, infos

    def close(self) -> None:
        """Do nothing: the creator of the environment closes it."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401
        """Return the environments' render mode: none."""
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ANN401
        """Refuse."""
        raise NotImplementedError(attr_name)

    def env_method(self, method_name: str, *_: Any, **__: Any) -> list[Any]:  # noqa: ANN401
        """Refuse."""
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ANN401
        """Report that Gymnasium's wrappers wrap none of them."""
        return [False] * self.num_envs


def normalised(environment: VecEnv, agent: AgentConfig) -> VecEnv:
    """Wrap an environment as Isaac Lab's train.py does, if the settings say so."""
    if not (agent.normalize_input or agent.normalize_value):
        return environment
    return VecNormalize(
        environment,
        norm_obs=agent.normalize_input,
        norm_reward=agent.normalize_value,
        clip_obs=agent.clip_obs,
        gamma=agent.gamma,
        clip_reward=np.inf,
    )
