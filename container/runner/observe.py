"""Read the simulation's progress from what the simulator prints."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from gaitway.contracts.request import RlLibrary, TrainingConfig
from gaitway.contracts.run import Progress
from gaitway.contracts.simulation import EVALUATION_PROGRESS, TRAINING_PROGRESS

_ANSI_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NUMBER = r"(?P<value>[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"


@dataclass(frozen=True)
class ProgressLines:
    """The lines in which a library itself tells how its training goes, for simulators that do not."""

    iteration: re.Pattern[str]
    """Groups `done` and `total`."""
    first_iteration: int
    """Number that the library gives to the first iteration; it tells an iteration's number once that is done."""
    steps_per_second: re.Pattern[str]
    """Group `value`."""
    mean_reward: re.Pattern[str]
    """Group `value`."""


PROGRESS_LINES: dict[RlLibrary, ProgressLines] = {
    "rsl_rl": ProgressLines(
        iteration=re.compile(r"^\s*Learning iteration (?P<done>\d+)/(?P<total>\d+)"),
        first_iteration=0,
        # The second form is that of rsl-rl-lib 3, which Isaac Lab 2.3 pins.
        steps_per_second=re.compile(rf"^\s*(?:Steps per second:\s*{_NUMBER}|Computation:\s*(?P<older>\d+) steps/s)"),
        mean_reward=re.compile(rf"^\s*Mean reward:\s*{_NUMBER}"),
    ),
}


class Observer:
    """Turns lines into progress.

    Args:
        training: What is simulated.
        on_progress: Called with each change, in the thread that reads the lines.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        training: TrainingConfig,
        on_progress: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trains = training.mode == "train"
        self._lines = PROGRESS_LINES.get(training.rl_library)
        self._on_progress = on_progress
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self.progress: Progress | None = None
        self._mean_rewards: dict[int, float] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the simulator said that its last iteration or episode is done."""
        return self.progress is not None and self.progress.done >= self.progress.total

    def mean_reward_at(self, iterations: int) -> float | None:
        """Tell the mean reward that was known after a number of iterations; None where none was.

        Of a simulator that tells fewer lines than iterations it is the latest before.
        """
        known = [done for done in self._mean_rewards.copy() if done <= iterations]
        return self._mean_rewards[max(known)] if known else None

    def read_line(self, line: str) -> None:
        """Look for progress in one line of output."""
        text = _ANSI_ESCAPE.sub("", line)
        progress = self._read_training(text) if self._trains else self._read_evaluation(text)
        if progress is not None and progress != self.progress:
            self.progress = progress
            if progress.mean_reward is not None:
                self._mean_rewards[progress.done] = progress.mean_reward
            self._on_progress(progress)

    def _read_evaluation(self, text: str) -> Progress | None:
        match = EVALUATION_PROGRESS.match(text)
        return self._counted(int(match["done"]), int(match["total"])) if match else None

    def _read_training(self, text: str) -> Progress | None:
        if match := TRAINING_PROGRESS.match(text):
            # Its library's own lines, which may follow, say the same again.
            self._lines = None
            counted = self._counted(int(match["done"]), int(match["total"]))
            figures = {
                "steps_per_second": float(match["steps_per_second"]),
                "mean_reward": _number(match["mean_reward"]),
            }
            return counted.model_copy(update=figures) if counted else None
        return self._read_library(self._lines, text) if self._lines else None

    def _read_library(self, lines: ProgressLines, text: str) -> Progress | None:
        if match := lines.iteration.match(text):
            return self._counted(int(match["done"]) - lines.first_iteration + 1, int(match["total"]))
        if self.progress is None:
            return None
        if match := lines.steps_per_second.match(text):
            return self.progress.model_copy(update={"steps_per_second": _first_number(match)})
        if match := lines.mean_reward.match(text):
            return self.progress.model_copy(update={"mean_reward": _first_number(match)})
        return None

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


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _first_number(match: re.Match[str]) -> float:
    return float(next(number for number in match.groups() if number is not None))
