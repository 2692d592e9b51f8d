"""Episodes of an Isaac Lab task, in the form that an evaluation counts."""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from torch import Tensor

from gaitway.simulators.common.episodes import TIME_OUT, TRUNCATED, Step
from gaitway.simulators.common.isaaclab.training import Adapter, LoadedPolicy

TERMINATED = "terminated"
"""The reason if the task names none."""
_SUCCESS = "success"


class Signals(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Records the environment's own results of a step: the libraries' wrappers merge them."""

    rewards: Tensor
    terminated: Tensor
    time_outs: Tensor

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:  # noqa: ANN401
        """Step, and record the results."""
        result: tuple[Any, Any, Any, Any, dict[str, Any]] = self.env.step(action)
        _, self.rewards, self.terminated, self.time_outs, _ = result
        return result


class IsaacLabEpisodes:
    """An Isaac Lab environment in a library's wrapper.

    Args:
        adapter: The library's wrapper.
        signals: The wrapper between that one and the environment.
        policy: Notified when episodes begin.
    """

    def __init__(self, adapter: Adapter, signals: Signals, policy: LoadedPolicy) -> None:
        unwrapped: Any = signals.unwrapped
        self.num_envs: int = unwrapped.num_envs
        self.device = torch.device(unwrapped.device)
        self._adapter, self._signals, self._policy = adapter, signals, policy
        self._manager = getattr(unwrapped, "termination_manager", None)
        self._reasons = self._terminal_reasons()
        successes = frozenset(name for name in self._reasons if _SUCCESS in name)
        self.successful_endings = successes or frozenset({TIME_OUT, TRUNCATED})
        self.success_definition = (
            f"The episode ends for the task's own reason {' or '.join(sorted(successes))}."
            if successes
            else "The episode lasts to its time limit, or to stepsPerEpisode, without a termination: the task itself "
            "names no success."
        )

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its first observations."""
        observations = self._adapter.reset()
        self._policy.forget(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))
        return observations

    def step(self, actions: Tensor) -> Step:
        """Apply actions for one step."""
        observations = self._adapter.step(actions)
        signals = self._signals
        self._policy.forget(signals.terminated | signals.time_outs)
        return Step(
            observations=observations,
            rewards=signals.rewards,
            terminations=self._terminations(),
            terminated=signals.terminated,
            time_outs=signals.time_outs,
            on_track=torch.ones_like(signals.terminated),
        )

    def _terminal_reasons(self) -> list[str]:
        if self._manager is None:
            return []
        return [
            name
            for name in self._manager.active_terms
            if _SUCCESS in name or not self._manager.get_term_cfg(name).time_out
        ]

    def _terminations(self) -> dict[str, Tensor]:
        """Return each reason's environments; a manager keeps them until the next step, across the resets."""
        reasons = {name: self._manager.get_term(name) for name in self._reasons} if self._manager else {}
        # Last: it counts if no named reason holds.
        return {**reasons, TERMINATED: self._signals.terminated}
