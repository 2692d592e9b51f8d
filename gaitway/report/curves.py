"""How a training went, from its metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from gaitway.contracts.artifacts import METRICS, PARAMETERS
from gaitway.contracts.checkpoints import rollouts_of
from gaitway.contracts.request import RlLibrary
from gaitway.outputs.scalar_tags import SCALAR_TAGS
from gaitway.report.series import read_columns

_PAUSE_FACTOR = 20
"""Times the usual duration of an iteration: what takes longer was no training."""
_OF_SPEED = ("perf/", "performance/", "stats /")
_MAX_AGENT_SETTINGS_BYTES = 2**20


@dataclass(frozen=True)
class Curves:
    """A training's series, all of the same length, in which NaN stands for what was not logged."""

    axis: str
    """What `at` counts: `iteration`, or `time step` where nobody says how many of them an iteration has."""
    at: Sequence[float]
    seconds: Sequence[float]
    """Since the first row."""
    reward: Sequence[float]
    length: Sequence[float]
    """Environment steps of an episode."""
    steps_per_second: Sequence[float]
    others: dict[str, Sequence[float]]
    """What else was logged, by its tag: losses, terms of the reward; neither speeds nor durations."""

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
    tags = SCALAR_TAGS[library]
    missing = [math.nan] * len(step)
    reward, length = columns.pop(tags.mean_reward, missing), columns.pop(tags.mean_length, missing)
    speed: Sequence[float] = missing
    if tags.steps_per_second is not None:
        speed = columns.get(tags.steps_per_second, missing)
    elif num_envs is not None:
        speed = _speeds(step, wall_time, num_envs)
    axis, at = _iterations(step, library, files)
    began = next((moment for moment in wall_time if math.isfinite(moment)), 0.0)
    return Curves(
        axis=axis,
        at=at,
        seconds=[moment - began for moment in wall_time],
        reward=reward,
        length=length,
        steps_per_second=speed,
        others={tag: values for tag, values in columns.items() if not tag.lower().startswith(_OF_SPEED)},
    )


def _iterations(step: Sequence[float], library: RlLibrary, files: Mapping[str, Path]) -> tuple[str, Sequence[float]]:
    """Turn the library's own steps into completed iterations: see `container.runner.metrics.read_metrics`."""
    if library == "rsl_rl":
        return "iteration", [value + 1 for value in step]
    if library == "rl_games":
        return "iteration", step
    rollouts = _rollouts(files.get(f"{PARAMETERS}agent.yaml"))
    return ("iteration", [value / rollouts for value in step]) if rollouts else ("time step", step)


def _rollouts(agent_settings: Path | None) -> int | None:
    try:
        if agent_settings is None:
            return None
        with agent_settings.open(encoding="utf-8", errors="replace") as file:
            return rollouts_of(file.read(_MAX_AGENT_SETTINGS_BYTES))
    except OSError:
        return None


def _speeds(step: Sequence[float], wall_time: Sequence[float], num_envs: int) -> list[float]:
    """Compute environment steps per second from one row to the next; NaN where training paused, and at first."""
    elapsed = [after - before for before, after in pairwise(wall_time)]
    limit = _longest_iteration(elapsed)
    steps = [after - before for before, after in pairwise(step)]
    return [
        math.nan,
        *(
            count * num_envs / seconds if 0 < seconds <= limit else math.nan
            for count, seconds in zip(steps, elapsed, strict=True)
        ),
    ]


def _longest_iteration(elapsed: Sequence[float]) -> float:
    """Say what is longer than any iteration: a pause."""
    passed = [seconds for seconds in elapsed if seconds > 0]
    return _PAUSE_FACTOR * median(passed) if passed else 0.0
