"""Read the simulation's progress from the simulator's output."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from gaitway.contracts.run import Progress
from gaitway.contracts.workload import WorkloadConfig
from gaitway.workloads import workload_of
from gaitway.workloads.progress import Told

_ANSI_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Observer:
    """Turns lines into progress.

    Args:
        training: The requested training or evaluation.
        on_progress: Called with each change, in the thread that reads the lines.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        training: WorkloadConfig,
        on_progress: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines = workload_of(training).lines(training)
        self._on_progress = on_progress
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self.progress: Progress | None = None
        self._mean_rewards: dict[int, float] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the simulator reported that its last iteration or episode is done."""
        return self.progress is not None and self.progress.done >= self.progress.total

    def mean_reward_at(self, iterations: int) -> float | None:
        """Return the mean reward that was known after a number of iterations; None if there was none.

        If the simulator does not print every iteration, it is the latest one before.
        """
        known = [done for done in self._mean_rewards.copy() if done <= iterations]
        return self._mean_rewards[max(known)] if known else None

    def read_line(self, line: str) -> None:
        """Look for progress in one line of output."""
        text = _ANSI_ESCAPE.sub("", line)
        told = self._lines.read(text)
        progress = self._progress(told) if told else None
        if progress is not None and progress != self.progress:
            self.progress = progress
            if progress.mean_reward is not None:
                self._mean_rewards[progress.done] = progress.mean_reward
            self._on_progress(progress)

    def _progress(self, told: Told) -> Progress | None:
        if told.counted is None:
            return self.progress.model_copy(update=dict(told.figures)) if self.progress else None
        counted = self._counted(*told.counted)
        return counted.model_copy(update=dict(told.figures)) if counted else None

    def _counted(self, done: int, total: int) -> Progress | None:
        if total < 1:
            return None
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        first_time, first_done = self._first
        eta_seconds = (now - first_time) / (done - first_done) * (total - done) if done > first_done else None
        known = self.progress
        return Progress(
            done=done,
            total=total,
            steps_per_second=known.steps_per_second if known else None,
            mean_reward=known.mean_reward if known else None,
            eta_seconds=eta_seconds,
        )


def is_done(directory: Path, training: WorkloadConfig, observer: Observer) -> Callable[[], bool]:
    """Return a function that checks whether a running simulator has nothing more to do.

    Args:
        directory: The run's directory.
        training: The requested training or evaluation.
        observer: Reads the simulator's lines.
    """
    workload = workload_of(training)

    def look() -> bool:
        if observer.is_complete:
            return workload.is_complete(directory, training)
        return workload.is_finished(directory, training)

    return look
