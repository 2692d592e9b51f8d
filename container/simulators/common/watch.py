"""What every library's training is watched for: progress, numbers that are none, and whether it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from container.simulators.common.errors import NotANumberError, TrainingStoppedError
from container.simulators.common.ranks import Ranks
from gaitway.contracts.simulation import STOP_FILE

MIN_SECONDS_BETWEEN_LINES = 0.25
ENVIRONMENT = "what the environment returned"


class TrainingWatch:
    """Told of every iteration before the library saves anything of it.

    Args:
        ranks: Who trains; only the one that leads prints.
        total: Iterations of the whole run.
        completed: Iterations of earlier attempts.
        steps_per_iteration: Environment steps of one process.
    """

    def __init__(self, ranks: Ranks, total: int, completed: int, steps_per_iteration: int) -> None:
        self.completed = completed
        self._leads = ranks.leads
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
        """Take in an iteration.

        Args:
            losses: By name.
            states: By what an error calls them: the tensors that a checkpoint would hold.
            mean_reward: Mean return of the latest episodes; None where none has ended.

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
        """Look for numbers that are none in the iteration under way.

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
        """End the training between two iterations, where the runner wants that; one that is complete ends by itself.

        Only the process that leads looks, so that no two disagree about when; the launcher ends the others.

        Args:
            save: Saves a checkpoint of the latest iteration, with what is logged of it, and returns its path.

        Raises:
            TrainingStoppedError: It is saved.
        """
        is_between = self._began_at < self.completed < self._total
        if not (self._leads and is_between and Path(STOP_FILE).exists()):
            return
        if self._told < self.completed:
            self._tell(time.monotonic())
        raise TrainingStoppedError(self.completed, save().name)

    def _tell(self, now: float) -> None:
        steps = (self.completed - self._told) * self._steps_per_iteration
        steps_per_second = steps / max(now - self._told_at, 1e-9)
        self._told, self._told_at = self.completed, now
        if self._leads:
            reward = "" if self._mean_reward is None else f", mean reward {self._mean_reward:.2f}"
            print(  # noqa: T201 - the contract's progress line
                f"Trained iterations: {self.completed}/{self._total} ({steps_per_second:.0f} steps/s{reward})"
            )
