"""TensorBoard's events as one table: a row per iteration, a column per scalar."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event

from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import LOGS_DIRECTORY

logger = logging.getLogger(__name__)

STEP = "step"
WALL_TIME = "wall_time"

_RECORD_HEADER = struct.Struct("<QI")
_RECORD_FOOTER = struct.Struct("<I")


@dataclass(frozen=True)
class ScalarTags:
    """What a library calls its scalars."""

    mean_reward: str
    steps_per_second: str
    iteration_seconds: tuple[str, ...]
    """The parts of an iteration's duration."""
    without_iteration: str
    """Ending of tags that are logged at another step than the iteration."""


SCALAR_TAGS: dict[RlLibrary, ScalarTags] = {
    "rsl_rl": ScalarTags(
        mean_reward="Train/mean_reward",
        steps_per_second="Perf/total_fps",
        iteration_seconds=("Perf/collection_time", "Perf/learning_time"),
        # rsl_rl logs some scalars twice, the second time with elapsed seconds in place of the iteration.
        without_iteration="/time",
    ),
}


@dataclass(frozen=True)
class MetricsSummary:
    """The figures of a training that its metrics tell; None where they were not logged."""

    mean_reward: float | None
    """The last one."""
    mean_steps_per_second: float | None
    training_seconds: float
    """Rollouts and learning, without start-up."""


def read_metrics(directory: Path, library: RlLibrary) -> pd.DataFrame:
    """Read every TensorBoard event file of a run.

    Where an iteration was logged more than once, as after a resume, the latest value counts.

    Args:
        directory: The run's directory.
        library: Who logged.

    Returns:
        Indexed by step, in order: wall_time (seconds since 1970), and a column per tag, NaN where it was not logged.
    """
    tags = SCALAR_TAGS.get(library)
    rows = [
        row
        for path in sorted((directory / LOGS_DIRECTORY).rglob("events.out.tfevents.*"))
        for row in _scalars(path)
        if tags is None or not row[0].endswith(tags.without_iteration)
    ]
    scalars = pd.DataFrame(rows, columns=["tag", STEP, WALL_TIME, "value"])
    scalars["tag"] = scalars["tag"].astype("category")
    scalars = scalars.sort_values([STEP, WALL_TIME], kind="stable").drop_duplicates([STEP, "tag"], keep="last")
    table = scalars.pivot(index=STEP, columns="tag", values="value")
    table.columns = table.columns.astype(str)
    table.insert(0, WALL_TIME, scalars.groupby(STEP)[WALL_TIME].max())
    return table


def summarise(metrics: pd.DataFrame, library: RlLibrary) -> MetricsSummary:
    """Read a training's figures out of its metrics.

    Args:
        metrics: As `read_metrics` returns them, with at least one row.
        library: Who logged.
    """
    tags = SCALAR_TAGS[library]
    rewards = metrics[tags.mean_reward].dropna() if tags.mean_reward in metrics else pd.Series(dtype=float)
    speeds = metrics[tags.steps_per_second].dropna() if tags.steps_per_second in metrics else pd.Series(dtype=float)
    durations = metrics[[tag for tag in tags.iteration_seconds if tag in metrics]]
    return MetricsSummary(
        mean_reward=float(rewards.iloc[-1]) if len(rewards) else None,
        mean_steps_per_second=float(speeds.mean()) if len(speeds) else None,
        training_seconds=float(durations.to_numpy().sum()),
    )


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
