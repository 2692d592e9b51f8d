"""Decide by what a simulator left whether it did what it was asked. An exit code says little."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from container.runner.outputs import checkpoints
from container.runner.simulate import SimulatorExit
from gaitway.contracts.checkpoints import iteration_of, newest
from gaitway.contracts.errors import RequestError, SimulationError
from gaitway.contracts.request import TrainingConfig
from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EXIT_BAD_REQUEST,
    EvaluationSummary,
)

if TYPE_CHECKING:
    import pandas as pd

_MAX_QUOTED_CHARACTERS = 500
"""Of one line of output."""


def judge_exit(end: SimulatorExit) -> None:
    """Refuse a process that ended badly by itself.

    Raises:
        RequestError: The simulator found the request wrong, in its own words.
        SimulationError: With the end of its output.
    """
    if end.code == 0 or end.by_runner:
        return
    if end.code == EXIT_BAD_REQUEST:
        raise RequestError(end.last_lines[-1] if end.last_lines else "the simulator refused the request without a word")
    how = f"exit code {end.code}" if end.code > 0 else f"signal {_signal_name(-end.code)}"
    raise SimulationError(f"the simulator ended with {how}. {_quote(end)}")


def _final_checkpoint(directory: Path, training: TrainingConfig) -> str | None:
    """Name the checkpoint that completes a training; None as long as it is not there.

    Args:
        directory: The run's directory.
        training: What was asked for.
    """
    name = newest(checkpoints(directory))
    iteration = iteration_of(name) if name else None
    # rsl_rl counts from 0: its Nth iteration ends with model_{N-1}.pt.
    return name if iteration is not None and iteration >= training.max_iterations - 1 else None


def is_complete(directory: Path, training: TrainingConfig) -> bool:
    """Tell, while the simulator still runs, whether everything that was asked for is there."""
    if training.mode == "evaluate":
        return _evaluation_summary(directory) is not None
    return _final_checkpoint(directory, training) is not None


def judge_training(directory: Path, training: TrainingConfig, metrics: pd.DataFrame, end: SimulatorExit) -> str:
    """Accept a training that reached its last iteration and logged metrics.

    Args:
        directory: The run's directory.
        training: What was asked for.
        metrics: What it logged.
        end: How the simulator ended, which an error quotes.

    Returns:
        Name of the final checkpoint.

    Raises:
        SimulationError: Says what is missing, with the end of the simulator's output.
    """
    checkpoint = _final_checkpoint(directory, training)
    if checkpoint is None:
        latest = newest(checkpoints(directory)) or "none"
        raise SimulationError(
            f"the training ended before its {training.max_iterations} iterations: latest checkpoint is {latest}. "
            + _quote(end)
        )
    if metrics.empty:
        raise SimulationError(f"the training logged no metrics. {_quote(end)}")
    return checkpoint


def judge_evaluation(directory: Path, training: TrainingConfig, end: SimulatorExit) -> EvaluationSummary:
    """Accept an evaluation of exactly the episodes, and with the video, that were asked for.

    Args:
        directory: The run's directory.
        training: What was asked for.
        end: How the simulator ended, which an error quotes.

    Raises:
        SimulationError: Says what is missing, with the end of the simulator's output.
    """
    summary = _evaluation_summary(directory)
    if summary is None:
        raise SimulationError(f"the evaluation left no readable {EVALUATION_SUMMARY}. {_quote(end)}")
    rows = _count_rows(directory / EVALUATION_METRICS)
    if not summary.episodes == rows == training.num_episodes:
        raise SimulationError(
            f"{training.num_episodes} episodes were to be evaluated, but the summary tells of {summary.episodes} and "
            f"{EVALUATION_METRICS} of {rows}. {_quote(end)}"
        )
    if training.record_video and not any((directory / EVALUATION_VIDEOS).rglob("*.mp4")):
        raise SimulationError(f"a video was to be recorded, but there is none. {_quote(end)}")
    return summary


def _evaluation_summary(directory: Path) -> EvaluationSummary | None:
    """Read the summary of an evaluation; None where there is none, or none that can be read."""
    try:
        return EvaluationSummary.model_validate_json((directory / EVALUATION_SUMMARY).read_text())
    except (OSError, ValidationError):
        return None


def _count_rows(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _quote(end: SimulatorExit) -> str:
    lines = [line[:_MAX_QUOTED_CHARACTERS] for line in end.last_lines]
    return "The last lines of its output:\n" + "\n".join(lines) if lines else "It printed nothing."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
