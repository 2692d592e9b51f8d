"""The checks in every library's training: progress, NaN and infinite values, and requests to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gaitway.contracts.simulation import STOP_FILE
from gaitway.simulators.common.errors import NotANumberError, TrainingStoppedError
from gaitway.simulators.common.ranks import Ranks

MIN_SECONDS_BETWEEN_LINES = 0.25
ENVIRONMENT = "what the environment returned"


class TrainingWatch:
    """Called for every iteration before the library saves anything of it.

    Args:
        ranks: The processes that train; only the leading one prints.
        total: Iterations of the whole run.
        completed: Iterations of earlier attempts.
        steps_per_iteration: Environment steps of one process.
    """

    def __init__(self, ranks: Ranks, total: int, completed: int, steps_per_iteration: int) -> None:
        self.completed = completed
        self.ranks = ranks
        self._total = total
        self._steps_per_iteration = steps_per_iteration * ranks.world_size
        self._mean_reward: float | None = None
        self._began_at = self._told = completed
        self._told_at = time.monotonic()

    def iteration_done(
        self,
        losses: Mapping[str, float],
        states: Mapping[str, Iterable[Tensor]],
        mean_reward: float | None = None,
    ) -> None:
        """Process an iteration.

        Args:
            losses: By name.
            states: The tensors that a checkpoint would hold, by the name that an error uses for them.
            mean_reward: Mean return of the latest episodes; None if none has ended.

        Raises:
            NotANumberError: One of the losses or tensors is not finite.
        """
        self.check(losses, states)
        iteration = self.completed = self.completed + 1
        self._mean_reward = self._mean_reward if mean_reward is None else mean_reward
        now = time.monotonic()
        is_first_or_last = iteration in (self._began_at + 1, self._total)
        if is_first_or_last or now - self._told_at >= MIN_SECONDS_BETWEEN_LINES:
            self._tell(now)

    def check(self, losses: Mapping[str, float], states: Mapping[str, Iterable[Tensor]]) -> None:
        """Check the current iteration for NaN and infinite values.

        Raises:
            NotANumberError: One of the losses or tensors is not finite.
        """
        values = [(f"the {name} loss", torch.as_tensor(loss)) for name, loss in losses.items()]
        values += [(name, tensor) for name, tensors in states.items() for tensor in tensors]
        for what, tensor in values:
            if not torch.isfinite(tensor).all():
                kind = "NaN" if torch.isnan(tensor).any() else "infinity"
                raise NotANumberError(what, self.completed + 1, kind)

    def stop_if_asked(self, save: Callable[[], Path]) -> None:
        """End the training between two iterations if the runner requests it; a complete training ends on its own.

        Only the leading process checks, so that all processes stop at the same iteration; the launcher ends the others.

        Args:
            save: Saves a checkpoint of the latest iteration, with its log, and returns its path.

        Raises:
            TrainingStoppedError: It is saved.
        """
        is_between = self._began_at < self.completed < self._total
        if not (self.ranks.leads and is_between and Path(STOP_FILE).exists()):
            return
        if self._told < self.completed:
            self._tell(time.monotonic())
        raise TrainingStoppedError(self.completed, save().name)

    def _tell(self, now: float) -> None:
        steps = (self.completed - self._told) * self._steps_per_iteration
        steps_per_second = steps / max(now - self._told_at, 1e-9)
        self._told, self._told_at = self.completed, now
        if self.ranks.leads:
            reward = "" if self._mean_reward is None else f", mean reward {self._mean_reward:.2f}"
            print(  # noqa: T201 - the contract's progress line
                f"Trained iterations: {self.completed}/{self._total} ({steps_per_second:.0f} steps/s{reward})"
            )
