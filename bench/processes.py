"""Trainings as processes of this machine, without the pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.libraries import RlLibrary
from gaitway.workloads.metrics import WALL_TIME, read_metrics

SIMULATOR = ("-m", "gaitway.simulators.embedded")
BARE = ("-m", "bench.bare")

_JOB_FILE = "simulation.json"
_OUTPUT_FILE = "output.log"
_QUOTED_CHARACTERS = 2000


class BenchError(Exception):
    """A measurement cannot continue; the message says why."""


def train_as_process(program: Sequence[str], training: TrainingConfig, directory: Path) -> pd.DataFrame:
    """Run a training program, and read the metrics that it leaves.

    Args:
        program: Arguments of the interpreter; the name of the job's file is added.
        training: What to train.
        directory: Its working directory, which is created.

    Returns:
        As `read_metrics`.

    Raises:
        BenchError: It failed; the message has the end of its output.
    """
    directory.mkdir(parents=True)
    (directory / _JOB_FILE).write_text(SimulationJob(training=training).model_dump_json(by_alias=True))
    with (directory / _OUTPUT_FILE).open("w+") as output:
        process = subprocess.run(
            [sys.executable, *program, _JOB_FILE],
            cwd=directory,
            # As the runner starts a simulator.
            env=os.environ | {"PYTHONPATH": str(REPOSITORY_ROOT), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if process.returncode:
            output.seek(0)
            raise BenchError(
                f"{' '.join(program)}: exit code {process.returncode}\n{output.read()[-_QUOTED_CHARACTERS:]}"
            )
    return read_metrics(directory, training.rl_library)


def steps_per_iteration(task: str, library: RlLibrary) -> int:
    """Return how many steps of each environment an iteration has."""
    # torch takes seconds to import, which must not delay a measurement.
    from gaitway.simulators.embedded.registry import find_task

    steps: int = find_task(task, library).agents[library].steps_per_iteration
    return steps


def steps_per_second(
    metrics: pd.DataFrame, training: TrainingConfig, steps_per_iteration: int, warm_up_iterations: int
) -> float:
    """Compute a training's speed from the times of its iterations: rollouts, learning, logging and checkpoints.

    Args:
        metrics: A row per iteration.
        training: What was trained.
        steps_per_iteration: Steps of each environment.
        warm_up_iterations: Those at the beginning that do not count.

    Raises:
        BenchError: Rows are missing.
    """
    if len(metrics) != training.max_iterations:
        raise BenchError(f"{len(metrics)} iterations were logged, not {training.max_iterations}")
    moments = metrics[WALL_TIME].to_numpy()[warm_up_iterations - 1 :]
    steps = (len(moments) - 1) * steps_per_iteration * training.num_envs
    return float(steps / (moments[-1] - moments[0]))
