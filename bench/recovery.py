"""What a `kill -9` in the middle of a training costs."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import psutil

from bench.context import Context
from bench.measurement import Goal, Measurement
from bench.pipeline import POLL_SECONDS, Pipeline, runner_of
from bench.processes import BenchError
from bench.size import LIBRARIES, SEED, TASK, training_config
from bench.statistics import Spread
from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import SIMULATOR_LOG
from gaitway.contracts.simulation import TRAINING_PROGRESS
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary

TITLE = "Recovery from kill -9"
NUM_ENVS = 2048
ITERATIONS = 24
CHECKPOINT_INTERVAL = 4
GOAL_SECONDS = 15.0

MAX_DELAY_SECONDS = 0.5
"""About as long as an iteration takes."""

T = TypeVar("T")

_POLL_SECONDS = 0.02
_WAIT_SECONDS = 120.0
_GONE_SECONDS = 5.0


@dataclass(frozen=True)
class KillPoint:
    """When a training is killed."""

    iteration: int
    """Once the simulator has reported this one as done, ..."""
    delay_seconds: float
    """... and then after this time."""


@dataclass(frozen=True)
class Recovery:
    """How a killed training continued."""

    iterations_lost: int
    """Iterations that the simulator had reported before the kill, and that were trained again."""
    retry_seconds: float
    """From the start of the retried job until its first iteration was done."""
    total_seconds: float
    """From the kill until then."""
    is_continuous: bool
    """Whether metrics.csv has every iteration exactly once."""


def kill_points(library: RlLibrary, count: int, seed: int = SEED) -> list[KillPoint]:
    """Draw when to kill a library's trainings: one in each part of a training, from its first iteration on."""
    chance = random.Random(f"{library} {seed}")  # noqa: S311 - no secret
    # Not in the last iterations: the training might be over before the signal arrives.
    part = (ITERATIONS - 3) / count
    return [
        KillPoint(1 + int((number + chance.random()) * part), chance.uniform(0, MAX_DELAY_SECONDS))
        for number in range(count)
    ]


def measure(context: Context) -> Measurement:
    """Kill trainings of every library."""
    rows = []
    recoveries = []
    for library in LIBRARIES:
        training = training_config(library, NUM_ENVS, ITERATIONS, CHECKPOINT_INTERVAL)
        points = kill_points(library, context.size.kills)
        for point in context.track(points, f"Recovery of {library}"):
            recovery = recover(context.pipeline, training, point)
            recoveries.append(recovery)
            rows.append(
                (
                    library,
                    str(point.iteration),
                    str(recovery.iterations_lost),
                    f"{recovery.retry_seconds:.1f}",
                    f"{recovery.total_seconds:.1f}",
                    "yes" if recovery.is_continuous else "no",
                )
            )
    return Measurement(
        title=TITLE,
        method=(
            f"{TASK} with {NUM_ENVS} environments for {ITERATIONS} iterations, a checkpoint every "
            f"{CHECKPOINT_INTERVAL}. At a random moment (seeded) SIGKILL ends the runner and every process below it; "
            "AWS Batch attempts the job again. Lost is what the simulator had told to be done and the next attempt did "
            "again. The retry's seconds count from the start of its container until its first iteration is done: "
            "imports of Python and torch, S3, the checkpoint and that iteration included."
        ),
        columns=("library", "killed after iteration", "iterations lost", "retry, s", "since the kill, s", "one series"),
        rows=tuple(rows),
        goals=goals(recoveries),
    )


def goals(recoveries: list[Recovery]) -> tuple[Goal, ...]:
    """Judge all recoveries together: the worst one counts."""
    lost = max(recovery.iterations_lost for recovery in recoveries)
    seconds = Spread.of([recovery.retry_seconds for recovery in recoveries])
    return (
        Goal(
            f"at most one interval ({CHECKPOINT_INTERVAL} iterations) lost: {lost}",
            lost <= CHECKPOINT_INTERVAL,
            "the newest checkpoint was not whole, or not where the next attempt looks: see what its log passed over",
        ),
        Goal(
            f"training goes on within {GOAL_SECONDS:.0f} s of the retry: {seconds.largest:.1f} s",
            seconds.largest <= GOAL_SECONDS,
            f"importing torch and the library on busy cores (median {seconds.median:.1f} s)",
        ),
        Goal(
            "one continuous series in metrics.csv",
            all(recovery.is_continuous for recovery in recoveries),
            "what the killed attempt logged was not cut off where the next one went on",
        ),
    )


def recover(pipeline: Pipeline, training: TrainingConfig, point: KillPoint) -> Recovery:
    """Train, kill, and measure how the training continues to its end.

    Raises:
        BenchError: It did not continue, or the signal came too late.
    """
    run = pipeline.start(training)
    log = _wait_for(lambda: _simulator_log(pipeline, run), run, pipeline)
    _wait_for(lambda: max(_told(log), default=0) >= point.iteration or None, run, pipeline)
    time.sleep(point.delay_seconds)
    runner = runner_of(run.run_id)
    if runner is None:
        raise BenchError(f"{run.run_id} ended before it was to be killed")
    killed_at = time.time()
    _kill(runner)
    done, log_size = max(_told(log)), log.stat().st_size
    (first, *_) = _wait_for(lambda: _told(log, log_size) or None, run, pipeline)
    going_on_at = time.time()
    resumed_from = first - 1
    pipeline.wait(run)
    return Recovery(
        # It may have saved an iteration that it had not reported yet.
        iterations_lost=max(0, done - resumed_from),
        retry_seconds=going_on_at - _retried_at(pipeline, run, killed_at),
        total_seconds=going_on_at - killed_at,
        is_continuous=is_continuous(pipeline.metrics(run.output_files), training.max_iterations),
    )


def is_continuous(metrics: pd.DataFrame, iterations: int) -> bool:
    """Return whether a table has exactly one row for every iteration.

    Args:
        metrics: Indexed by step, in whatever the library counts.
        iterations: Number of requested iterations.
    """
    strides = metrics.index.to_series().diff().dropna()
    return len(metrics) == iterations and strides.nunique() == 1 and bool(strides.iloc[0] > 0)


def _wait_for(look: Callable[[], T | None], run: StartedRun, pipeline: Pipeline) -> T:
    """Poll until there is a value, while the run is active."""
    give_up_at = time.monotonic() + _WAIT_SECONDS
    ask_at = 0.0
    while (seen := look()) is None:
        if time.monotonic() > give_up_at:
            raise BenchError(f"{run.run_id} did not go on within {_WAIT_SECONDS:.0f} s")
        if time.monotonic() >= ask_at:
            if pipeline.has_ended(run):
                raise BenchError(f"{run.run_id} ended too early: {_failure(pipeline, run)}")
            ask_at = time.monotonic() + POLL_SECONDS
        time.sleep(_POLL_SECONDS)
    return seen


def _failure(pipeline: Pipeline, run: StartedRun) -> str:
    failure = pipeline.record(run).failure
    return f"{failure.error}: {failure.cause}" if failure else "it was not interrupted in time"


def _simulator_log(pipeline: Pipeline, run: StartedRun) -> Path | None:
    directory = pipeline.run_directory(run)
    path = directory / SIMULATOR_LOG if directory else None
    return path if path and path.is_file() else None


def _told(log: Path, offset: int = 0) -> list[int]:
    """List the iterations that were reported as done, after a position in the log."""
    with log.open("rb") as file:
        file.seek(offset)
        text = file.read().decode(errors="replace")
    return [int(match["done"]) for match in TRAINING_PROGRESS.finditer(text)]


def _kill(runner: psutil.Process) -> None:
    """Kill a runner and everything below it, and wait until all of them have ended."""
    processes = [runner, *runner.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_GONE_SECONDS)


def _retried_at(pipeline: Pipeline, run: StartedRun, killed_at: float) -> float:
    """Return when AWS Batch started the attempt after the kill, in seconds since 1970."""
    job = pipeline.batch.describe_jobs(jobs=[pipeline.record(run).job_id])["jobs"][0]
    # Of the last attempt, which may not have ended yet: the runner reports before it exits.
    started_at: float = job["startedAt"] / 1000
    if started_at < killed_at:
        raise BenchError(f"{run.run_id} was not attempted again")
    return started_at
