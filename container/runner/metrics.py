"""TensorBoard's events as one table: a row per iteration, a column per scalar."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event

from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.outputs.scalar_tags import SCALAR_TAGS, ScalarTags

logger = logging.getLogger(__name__)

STEP = "step"
WALL_TIME = "wall_time"
_COLUMNS = ["tag", STEP, WALL_TIME, "value"]
_MAX_PAUSE_FACTOR = 20
"""Times the usual duration of an iteration: what takes longer was no training."""

_RECORD_HEADER = struct.Struct("<QI")
_RECORD_FOOTER = struct.Struct("<I")


@dataclass(frozen=True)
class MetricsSummary:
    """The figures of a training that its metrics tell; None where they were not logged."""

    mean_reward: float | None
    """The last one."""
    mean_steps_per_second: float | None
    training_seconds: float
    """Rollouts and learning, without start-up."""


def read_metrics(directory: Path, library: RlLibrary) -> pd.DataFrame:
    """Read every TensorBoard event file of a run, as one series.

    Where an attempt was killed, and the next one went on from a checkpoint before that, what the killed one logged
    beyond that checkpoint was trained again: a later attempt counts from its first step on.

    Args:
        directory: The run's directory.
        library: Who logged.

    Returns:
        Indexed by step (the library's own: iterations of rsl_rl, from 0, and of rl_games, from 1; time steps of skrl),
        in order: wall_time (seconds since 1970), and a column per tag, NaN where it was not logged.
    """
    tags = SCALAR_TAGS[library]
    paths = (directory / LOGS_DIRECTORY).rglob("events.out.tfevents.*")
    scalars = _continued([frame for path in paths if not (frame := _read_file(path, tags)).empty])
    scalars["tag"] = scalars["tag"].astype("category")
    scalars = scalars.sort_values([STEP, WALL_TIME], kind="stable").drop_duplicates([STEP, "tag"], keep="last")
    table = scalars.pivot(index=STEP, columns="tag", values="value")
    table.columns = table.columns.astype(str)
    table.insert(0, WALL_TIME, scalars.groupby(STEP)[WALL_TIME].max())
    return table


def summarise(metrics: pd.DataFrame, library: RlLibrary, num_envs: int) -> MetricsSummary:
    """Read a training's figures out of its metrics.

    Args:
        metrics: As `read_metrics` returns them, with at least one row.
        library: Who logged.
        num_envs: Environments over all processes.
    """
    tags = SCALAR_TAGS[library]
    rewards = _column(metrics, tags.mean_reward)
    durations = metrics[[tag for tag in tags.iteration_seconds if tag in metrics]]
    elapsed = metrics[WALL_TIME].diff()
    # Where an attempt ended and the next one began, nothing was trained.
    elapsed = elapsed[elapsed <= _MAX_PAUSE_FACTOR * elapsed.median()]
    training_seconds = float(durations.to_numpy().sum() if tags.iteration_seconds else elapsed.sum())
    speeds = (
        _column(metrics, tags.steps_per_second)
        if tags.steps_per_second
        else (metrics.index.to_series().diff() * num_envs / elapsed[elapsed > 0]).dropna()
    )
    return MetricsSummary(
        mean_reward=float(rewards.iloc[-1]) if len(rewards) else None,
        mean_steps_per_second=float(speeds.mean()) if len(speeds) else None,
        training_seconds=training_seconds,
    )


def _column(metrics: pd.DataFrame, tag: str) -> pd.Series[float]:
    return metrics[tag].dropna() if tag in metrics else pd.Series(dtype=float)


def _read_file(path: Path, tags: ScalarTags) -> pd.DataFrame:
    """Read a file's scalars, each at its iteration as far as the library lets that be known."""
    rows = [row for row in _scalars(path) if not row[0].endswith(tags.left_out)]
    if tags.step_counter is not None:
        iterations = {step: int(value) for tag, step, _, value in rows if tag == tags.step_counter}
        rows = [
            (tag, step if tag.endswith(tags.by_iteration) else iterations[step], wall_time, value)
            for tag, step, wall_time, value in rows
            if tag.endswith(tags.by_iteration) or step in iterations
        ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _continued(files: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the attempts' files together, each cut off where the next attempt begins."""
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


def _scalars(path: Path) -> Iterator[tuple[str, int, float, float]]:
    """Give tag, step, wall time and value of each scalar in an event file."""
    for record in _records(path):
        try:
            event = Event.FromString(record)
        except DecodeError:
            logger.warning("%s is damaged: what follows in it is left out of the metrics", path)
            return
        for value in event.summary.value:
            if value.HasField("simple_value"):
                yield value.tag, event.step, event.wall_time, value.simple_value


def _records(path: Path) -> Iterator[bytes]:
    """Give the complete records of a TFRecord file.

    TensorBoard's own reader computes each checksum in Python, which takes minutes for a long training. Format:
    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
    """
    with path.open("rb") as file:
        while len(header := file.read(_RECORD_HEADER.size)) == _RECORD_HEADER.size:
            length, _ = _RECORD_HEADER.unpack(header)
            record = file.read(length)
            if len(record) < length or len(file.read(_RECORD_FOOTER.size)) < _RECORD_FOOTER.size:
                return
            yield record
