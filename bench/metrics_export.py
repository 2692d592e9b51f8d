"""From TensorBoard's event files to metrics.csv."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from bench.context import Context
from bench.measurement import Measurement
from bench.processes import BenchError
from bench.statistics import Spread, interleaved, paired_ratios
from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.workloads.metrics import STEP, WALL_TIME, read_metrics

TITLE = "Export of metrics"
TAGS = tuple(f"Episode_Reward/term_{number}" for number in range(20))
"""The number of scalars that a locomotion task logs."""


def measure(context: Context) -> Measurement:
    """Measure our export and the plain one."""
    directory = context.new_directory("events")
    iterations = context.size.scalars // len(TAGS)
    write_events(directory, iterations)
    exports = (export, export_plainly)
    seconds: dict[str, list[float]] = {one.__name__: [] for one in exports}
    tables: dict[str, pd.DataFrame] = {}
    for one in context.track(interleaved(exports, context.size.export_rounds), "Export of metrics"):
        began = time.perf_counter()
        tables[one.__name__] = one(directory)
        seconds[one.__name__].append(time.perf_counter() - began)
    ours, plain = tables[export.__name__], tables[export_plainly.__name__]
    if not ours.equals(plain[ours.columns]):
        raise BenchError("the two tables differ")
    figures = {name: Spread.of(values) for name, values in seconds.items()}
    ratio = Spread.of(paired_ratios(seconds[export_plainly.__name__], seconds[export.__name__]))
    return Measurement(
        title=TITLE,
        method=(
            f"An event file of {len(TAGS) * iterations:,} scalars ({len(TAGS)} tags, {iterations:,} iterations, an "
            "event each as the libraries write them) to the table of the run, and that to metrics.csv: by our "
            "`workloads/metrics.py`, and by TensorBoard's EventAccumulator and a loop over its scalars, in "
            "turn. Both tables are compared, and are equal."
        ),
        columns=("runner, s", "EventAccumulator loop, s", "times as fast", "pairs"),
        rows=(
            (
                figures[export.__name__].written(".1f"),
                figures[export_plainly.__name__].written(".1f"),
                ratio.written(".1f"),
                str(ratio.count),
            ),
        ),
    )


def write_events(directory: Path, iterations: int) -> None:
    """Write the event file of a training with this number of iterations."""
    writer = EventFileWriter(str(directory / LOGS_DIRECTORY / "rsl_rl"))
    for iteration in range(iterations):
        for number, tag in enumerate(TAGS):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=iteration / (number + 1))])
            writer.add_event(Event(step=iteration, wall_time=1e9 + iteration, summary=summary))
    writer.close()


def export(directory: Path) -> pd.DataFrame:
    """Export as the runner does."""
    table = read_metrics(directory, "rsl_rl")
    table.to_csv(directory / METRICS)
    return table


def export_plainly(directory: Path) -> pd.DataFrame:
    """Export with TensorBoard's own reader."""
    accumulator = EventAccumulator(str(directory / LOGS_DIRECTORY / "rsl_rl"), size_guidance={SCALARS: 0})
    accumulator.Reload()
    columns: dict[str, pd.Series[float]] = {}
    for tag in accumulator.Tags()[SCALARS]:
        scalars = accumulator.Scalars(tag)
        steps = pd.Index([scalar.step for scalar in scalars], name=STEP)
        columns[WALL_TIME] = pd.Series([scalar.wall_time for scalar in scalars], steps)
        columns[tag] = pd.Series([scalar.value for scalar in scalars], steps)
    table = pd.DataFrame(columns)
    table.to_csv(directory / METRICS)
    return table
