"""Decide by what a simulator left whether it did what it was asked. An exit code says little."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from container.runner.known_failures import recognise
from container.runner.simulate import Ending, SimulatorExit
from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import NotANumberError, RequestError, SimulationError, StalledError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import TrainingConfig
from gaitway.contracts.run import Progress
from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EXIT_BAD_REQUEST,
    EXIT_NOT_A_NUMBER,
    EXPORTED_DIRECTORY,
    EXPORTED_SUMMARY,
    LOGS_DIRECTORY,
    NOT_A_NUMBER,
    EvaluationSummary,
)
from gaitway.outputs.checkpoints import Checkpoint, newest

if TYPE_CHECKING:
    import pandas as pd

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_MAX_QUOTED_CHARACTERS = 500
"""Of one line of output."""


def judge_exit(end: SimulatorExit, directory: Path, training: TrainingConfig, output_files: S3Uri) -> None:
    """Refuse a process that ended badly by itself, with the cause as far as it is known.

    Args:
        end: How the simulator ended.
        directory: The run's directory.
        training: What was asked for.
        output_files: Where the run's checkpoints are found.

    Raises:
        RequestError: The simulator found the request wrong, in its own words.
        GaitwayError: Of the class that says whether a retry helps, with the end of its output.
    """
    if end.ending is not Ending.EXITED or end.code == 0:
        return
    if end.code == EXIT_BAD_REQUEST:
        raise RequestError(end.lines[-1] if end.lines else "the simulator refused the request without a word")
    diverged = next((match for line in reversed(end.lines) if (match := NOT_A_NUMBER.match(line))), None)
    known = recognise(end.lines)
    if diverged is not None:
        good = _last_good(directory, training, output_files, int(diverged["iteration"]))
        raise NotANumberError(f"{diverged.group()}: the training diverged. {good}. {quote(end)}")
    if end.code == EXIT_NOT_A_NUMBER or (known is not None and known.error is NotANumberError):
        raise NotANumberError(f"the training diverged. {_last_good(directory, training, output_files)}. {quote(end)}")
    if known is not None:
        raise known.error(f"{known.explanation}. The simulator ended with {_how(end.code)}. {quote(end)}")
    if end.code in _KILLED:
        raise SimulationError(
            f"the simulator was killed ({_how(end.code)}), most often since the machine ran out of memory: ask for "
            f"fewer environments (numEnvs), or deploy with more jobMemoryMib. {quote(end)}"
        )
    raise SimulationError(f"the simulator ended with {_how(end.code)}. {quote(end)}")


def judge_progress(end: SimulatorExit, progress: Progress | None, idle_seconds: float) -> None:
    """Refuse a process that had to be ended since it made no progress.

    Args:
        end: How the simulator ended.
        progress: The last that it made.
        idle_seconds: Since then.

    Raises:
        StalledError: With the end of its output.
    """
    if end.ending is not Ending.STALLED:
        return
    standing = f"after {progress.done} of {progress.total}" if progress else "before its first iteration or episode"
    raise StalledError(
        f"the simulator made no progress for {idle_seconds:.0f} seconds, {standing}, and was ended. {quote(end)}"
    )


def _final_checkpoint(directory: Path, training: TrainingConfig) -> Checkpoint | None:
    """Find the checkpoint that completes a training; None as long as it is not there."""
    latest = newest(directory, training.rl_library)
    return latest if latest is not None and (latest.iterations or 0) >= training.max_iterations else None


def is_complete(directory: Path, training: TrainingConfig) -> bool:
    """Tell, while the simulator still runs, whether everything that was asked for is there."""
    if training.mode == "evaluate":
        return _evaluation_summary(directory) is not None
    return _final_checkpoint(directory, training) is not None


def is_exported(directory: Path) -> bool:
    """Tell whether a training has exported its policy, which it does last."""
    return any((directory / LOGS_DIRECTORY).rglob(f"{EXPORTED_DIRECTORY}/{EXPORTED_SUMMARY}"))


def is_finished(directory: Path, training: TrainingConfig) -> bool:
    """Tell whether a simulator has nothing more to do."""
    return is_complete(directory, training) and (training.mode == "evaluate" or is_exported(directory))


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
        latest = newest(directory, training.rl_library)
        standing = f"{latest.name}, after {latest.iterations}" if latest else "none"
        raise SimulationError(
            f"the training ended before its {training.max_iterations} iterations: latest checkpoint is {standing}. "
            + quote(end)
        )
    if metrics.empty:
        raise SimulationError(f"the training logged no metrics. {quote(end)}")
    return checkpoint.name


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
        raise SimulationError(f"the evaluation left no readable {EVALUATION_SUMMARY}. {quote(end)}")
    rows = _count_rows(directory / EVALUATION_METRICS)
    if not summary.episodes == rows == training.num_episodes:
        raise SimulationError(
            f"{training.num_episodes} episodes were to be evaluated, but the summary tells of {summary.episodes} and "
            f"{EVALUATION_METRICS} of {rows}. {quote(end)}"
        )
    if training.record_video and not any((directory / EVALUATION_VIDEOS).rglob("*.mp4")):
        raise SimulationError(f"a video was to be recorded, but there is none. {quote(end)}")
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


def quote(end: SimulatorExit) -> str:
    """Quote the end of a simulator's output."""
    lines = [line[:_MAX_QUOTED_CHARACTERS] for line in end.last_lines]
    return "The last lines of its output:\n" + "\n".join(lines) if lines else "It printed nothing."


def _last_good(directory: Path, training: TrainingConfig, output_files: S3Uri, below: int | None = None) -> str:
    """Name the checkpoint to go on from, with other settings."""
    good = newest(directory, training.rl_library, below)
    if good is None:
        return "No checkpoint was saved before that: lower the learning rate, or look at what the environment returns"
    return (
        f"The last good checkpoint is {output_files / CHECKPOINTS}{good.name}, after {good.iterations} iterations: "
        "give it as resumeCheckpoint of a new run with a lower learning rate"
    )


def _how(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
