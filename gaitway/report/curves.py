"""How a training went, from its metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from gaitway.contracts.artifacts import METRICS, PARAMETERS
from gaitway.libraries import LibraryRecord, RlLibrary, record_of
from gaitway.report.series import read_columns

_PAUSE_FACTOR = 20
"""Multiple of the usual duration of an iteration: a longer gap was not training."""
_MAX_SETTINGS_BYTES = 2**20


@dataclass(frozen=True)
class Curves:
    """A training's series, all of the same length; NaN where nothing was logged."""

    axis: str
    """The unit of `at`: `iteration`, or `time step` if the number of steps per iteration is not known."""
    at: Sequence[float]
    seconds: Sequence[float]
    """Since the first row."""
    reward: Sequence[float]
    length: Sequence[float]
    """Environment steps of an episode."""
    steps_per_second: Sequence[float]
    others: dict[str, Sequence[float]]
    """Other logged scalars, by tag: losses, terms of the reward; neither speeds nor durations."""

    @property
    def pauses(self) -> list[float]:
        """When nothing was trained for a while, in seconds since the first row: the last row before each pause."""
        steps = [(before, after - before) for before, after in pairwise(self.seconds)]
        limit = _longest_iteration([seconds for _, seconds in steps])
        return sorted(before for before, seconds in steps if seconds > limit)

    @property
    def counts_iterations(self) -> bool:
        """Whether the marks of resumes, which are iterations, can be drawn."""
        return self.axis == "iteration"


def read_curves(files: Mapping[str, Path], library: RlLibrary, num_envs: int | None) -> Curves | None:
    """Read a training's series; None where there are none.

    Args:
        files: The run's files.
        library: Who logged.
        num_envs: Environments over all processes, if known.
    """
    columns = read_columns(files.get(METRICS))
    step, wall_time = columns.pop("step", None), columns.pop("wall_time", None)
    if not step or not wall_time:
        return None
    record = record_of(library)
    tags = record.scalars
    missing = [math.nan] * len(step)
    reward, length = columns.pop(tags.mean_reward, missing), columns.pop(tags.mean_length, missing)
    speed: Sequence[float] = missing
    if tags.steps_per_second is not None:
        speed = columns.get(tags.steps_per_second, missing)
    elif num_envs is not None:
        speed = _speeds(step, wall_time, record.environment_steps(num_envs))
    axis, at = _iterations(step, record, files)
    began = next((moment for moment in wall_time if math.isfinite(moment)), 0.0)
    return Curves(
        axis=axis,
        at=at,
        seconds=[moment - began for moment in wall_time],
        reward=reward,
        length=length,
        steps_per_second=speed,
        others={tag: values for tag, values in columns.items() if not tag.lower().startswith(tags.about_speed)},
    )


def _iterations(step: Sequence[float], record: LibraryRecord, files: Mapping[str, Path]) -> tuple[str, Sequence[float]]:
    """Turn the library's own steps into completed iterations: see `gaitway.workloads.metrics.read_metrics`."""
    length = record.iteration_length(lambda name: _text(files.get(f"{PARAMETERS}{name}")))
    return ("iteration", [record.completed(value, length) for value in step]) if length else ("time step", step)


def _text(path: Path | None) -> str | None:
    try:
        if path is None:
            return None
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_SETTINGS_BYTES)
    except OSError:
        return None


def _speeds(step: Sequence[float], wall_time: Sequence[float], environment_steps: int) -> list[float]:
    """Compute environment steps per second from one row to the next; NaN where training paused, and at first."""
    elapsed = [after - before for before, after in pairwise(wall_time)]
    limit = _longest_iteration(elapsed)
    steps = [after - before for before, after in pairwise(step)]
    return [
        math.nan,
        *(
            count * environment_steps / seconds if 0 < seconds <= limit else math.nan
            for count, seconds in zip(steps, elapsed, strict=True)
        ),
    ]


def _longest_iteration(elapsed: Sequence[float]) -> float:
    """Say what is longer than any iteration: a pause."""
    passed = [seconds for seconds in elapsed if seconds > 0]
    return _PAUSE_FACTOR * median(passed) if passed else 0.0
