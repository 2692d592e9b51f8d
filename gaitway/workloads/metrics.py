"""TensorBoard's events as one table: a row per iteration, a column per scalar."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event

from gaitway.contracts.artifacts import SYNCHRONISATION_MARKS
from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.libraries import RlLibrary, ScalarTags, record_of
from gaitway.workloads.event_files import records

logger = logging.getLogger(__name__)

STEP = "step"
WALL_TIME = "wall_time"
_COLUMNS = ["tag", STEP, WALL_TIME, "value"]
_MAX_PAUSE_FACTOR = 20
"""In units of the usual duration of an iteration: a longer time is a pause between attempts, not training."""


@dataclass(frozen=True)
class MetricsSummary:
    """The figures of a training, from its metrics; None if they were not logged."""

    mean_reward: float | None
    """The last one."""
    mean_steps_per_second: float | None
    training_seconds: float | None
    """Rollouts and learning, without start-up."""


@dataclass
class Damage:
    """What is wrong with the event files of a run; what is right in them is read nevertheless."""

    files: dict[str, str] = field(default_factory=dict)
    """By file name, what is wrong with it, in words."""
    not_finite: set[str] = field(default_factory=set)
    """Tags of which a value was logged as NaN or infinite."""

    def note(self, path: Path, what: str) -> None:
        """Note damage, of which the first of a file is kept."""
        if path.name not in self.files:
            logger.warning("%s is damaged: %s", path, what)
            self.files[path.name] = what


def read_metrics(directory: Path, library: RlLibrary, damage: Damage | None = None) -> pd.DataFrame:
    """Read every TensorBoard event file of a run, as one series.

    After an attempt was killed, the next one resumes from an earlier checkpoint, and trains the iterations after it
    again. So from the first step of a later attempt on, only the later attempt's values count.

    Args:
        directory: The run's directory.
        library: The library that logged.
        damage: Receives what is wrong with the files.

    Returns:
        Indexed by step (what the library counts: see `LibraryRecord.counts`), in order: wall_time (seconds since 1970),
        and a column per tag, NaN if it was not logged.
    """
    tags = record_of(library).scalars
    damage = damage or Damage()
    found = sorted((directory / LOGS_DIRECTORY).rglob("events.out.tfevents.*"))
    paths = [path for path in found if not path.name.endswith(SYNCHRONISATION_MARKS)]
    scalars = _continued([frame for path in paths if not (frame := _read_file(path, tags, damage)).empty])
    # A task may log scalars of its own by the names of our columns.
    scalars["tag"] = scalars["tag"].replace({name: f"{name} (scalar)" for name in (STEP, WALL_TIME)}).astype("category")
    scalars = scalars.sort_values([STEP, WALL_TIME], kind="stable").drop_duplicates([STEP, "tag"], keep="last")
    table = scalars.pivot(index=STEP, columns="tag", values="value")
    table.columns = table.columns.astype(str)
    table.insert(0, WALL_TIME, scalars.groupby(STEP)[WALL_TIME].max())
    return table


def no_metrics() -> pd.DataFrame:
    """Return what `read_metrics` returns where nothing was logged."""
    return pd.DataFrame(columns=[WALL_TIME]).rename_axis(STEP)


def summarise(metrics: pd.DataFrame, library: RlLibrary, num_envs: int) -> MetricsSummary:
    """Read a training's figures out of its metrics.

    Args:
        metrics: As `read_metrics` returns them, with at least one row.
        library: The library that logged.
        num_envs: Environments over all processes.
    """
    record = record_of(library)
    tags = record.scalars
    rewards = _column(metrics, tags.mean_reward)
    durations = metrics[[tag for tag in tags.iteration_seconds if tag in metrics]]
    elapsed = metrics[WALL_TIME].diff()
    # Nothing was trained between the end of an attempt and the start of the next one.
    elapsed = elapsed[elapsed <= _MAX_PAUSE_FACTOR * elapsed.median()]
    training_seconds = float(durations.sum().sum() if tags.iteration_seconds else elapsed.sum())
    speeds = (
        _column(metrics, tags.steps_per_second)
        if tags.steps_per_second
        else (metrics.index.to_series().diff() * record.environment_steps(num_envs) / elapsed[elapsed > 0]).dropna()
    )
    return MetricsSummary(
        mean_reward=_finite(rewards.iloc[-1]) if len(rewards) else None,
        mean_steps_per_second=_finite(speeds.mean()) if len(speeds) else None,
        training_seconds=_finite(training_seconds) if len(metrics) else None,
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _column(metrics: pd.DataFrame, tag: str) -> pd.Series[float]:
    return metrics[tag].dropna() if tag in metrics else pd.Series(dtype=float)


def _read_file(path: Path, tags: ScalarTags, damage: Damage) -> pd.DataFrame:
    """Read a file's scalars, each at its iteration if the library logs it."""
    rows = [row for row in _scalars(path, damage) if not row[0].endswith(tags.left_out)]
    if tags.step_counter is not None:
        iterations = {
            step: int(value) for tag, step, _, value in rows if tag == tags.step_counter and math.isfinite(value)
        }
        rows = [
            (tag, step if tag.endswith(tags.by_iteration) else iterations[step], wall_time, value)
            for tag, step, wall_time, value in rows
            if tag.endswith(tags.by_iteration) or step in iterations
        ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _continued(files: list[pd.DataFrame]) -> pd.DataFrame:
    """Join the attempts' files, each cut off at the first step of the next attempt."""
    files = sorted(files, key=lambda file: float(file[WALL_TIME].min()))
    attempts: list[list[pd.DataFrame]] = []
    end = -math.inf
    for file in files:
        # The files of one attempt overlap in time: it writes them side by side.
        if file[WALL_TIME].min() > end:
            attempts.append([])
        attempts[-1].append(file)
        end = max(end, float(file[WALL_TIME].max()))
    kept: list[pd.DataFrame] = []
    next_begin = math.inf
    for attempt in reversed(attempts):
        scalars = pd.concat(attempt)
        kept.append(scalars[scalars[STEP] < next_begin])
        next_begin = min(next_begin, int(scalars[STEP].min()))
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=_COLUMNS)


def _scalars(path: Path, damage: Damage) -> Iterator[tuple[str, int, float, float]]:
    """Yield tag, step, wall time and value of each scalar in an event file."""
    for record in records(path, partial(damage.note, path)):
        try:
            event = Event.FromString(record)
        except DecodeError:
            damage.note(path, "a record in it is not an event, and is left out")
            continue
        for value in event.summary.value:
            if value.HasField("simple_value") and math.isfinite(event.wall_time):
                if not math.isfinite(value.simple_value):
                    damage.not_finite.add(value.tag)
                yield value.tag, event.step, event.wall_time, value.simple_value
