"""Decide from a simulator's files whether it did what was requested. Its exit code alone shows little."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import (
    CamerasNeededError,
    NotANumberError,
    RequestError,
    SimulationError,
    StalledError,
    StorageError,
)
from gaitway.contracts.model import S3Uri, Stored
from gaitway.contracts.run import Progress
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, NOT_A_NUMBER
from gaitway.contracts.workload import WorkloadConfig
from gaitway.runner.host.storage import fullness
from gaitway.runner.known_failures import recognise
from gaitway.runner.processes.simulate import Ending, SimulatorExit
from gaitway.workloads import workload_of

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_CAMERAS_NEEDED = re.compile(r"Error\b.*--enable_cameras|(ensure|make sure|use) --enable_cameras", re.IGNORECASE)
"""Isaac Lab 2.3.2: sensors/camera/camera.py and tiled_camera.py, envs/*_env.py and sim/utils/semantics.py."""
_MAX_QUOTED_CHARACTERS = 500
"""Longest part of one line of output that is quoted."""


def judge_exit(end: SimulatorExit, directory: Path, training: WorkloadConfig, output_files: S3Uri) -> None:
    """Raise the error for a process that failed on its own, with the cause if it is known.

    Args:
        end: How the simulator ended.
        directory: The run's directory.
        training: The requested training or evaluation.
        output_files: Where the run's checkpoints are found.

    Raises:
        RequestError: The simulator refused the request; with its own message.
        GaitwayError: Of the class that says whether a retry helps, with the end of its output.
    """
    if end.ending is not Ending.EXITED or end.code == 0:
        return
    if end.code == EXIT_BAD_REQUEST:
        reason = next(
            (line for line in reversed(end.lines) if line.strip()), "the simulator refused and gave no reason"
        )
        raise RequestError(reason)
    diverged = next((match for line in reversed(end.lines) if (match := NOT_A_NUMBER.match(line))), None)
    known = recognise(end.lines)
    if diverged is not None:
        good = _last_good(directory, training, output_files, int(diverged["iteration"]))
        raise NotANumberError(f"{diverged.group()}: the training diverged. {good}. {quote(end)}")
    if end.code == EXIT_NOT_A_NUMBER or (known is not None and known.error is NotANumberError):
        raise NotANumberError(f"the training diverged. {_last_good(directory, training, output_files)}. {quote(end)}")
    if known is not None:
        where = f" {fullness(directory)}." if known.error is StorageError else ""
        raise known.error(f"{known.explanation}.{where} The simulator ended with {_how(end.code)}. {quote(end)}")
    if end.code in _KILLED:
        raise SimulationError(
            f"the simulator was killed ({_how(end.code)}), most often since the machine ran out of memory: ask for "
            f"fewer environments (numEnvs), or deploy with more jobMemoryMib. {quote(end)}"
        )
    raise SimulationError(f"the simulator ended with {_how(end.code)}. {quote(end)}")


def judge_cameras(end: SimulatorExit) -> None:
    """Recognise a task whose sensors need the option for cameras.

    Args:
        end: How the simulator ended.

    Raises:
        CamerasNeededError: With Isaac Lab's own line.
    """
    if end.ending is not Ending.EXITED or end.code == 0:
        return
    said = next((line.strip() for line in end.lines if _CAMERAS_NEEDED.search(line)), None)
    if said is not None:
        raise CamerasNeededError(
            "the task has cameras, and trainingConfig.enableCameras is false, allowed: true, or null to let Isaac Lab "
            f"decide. It says: {said[:_MAX_QUOTED_CHARACTERS]}"
        )


def judge_progress(end: SimulatorExit, progress: Progress | None, idle_seconds: float) -> None:
    """Raise the error for a process that was ended because it made no progress.

    Args:
        end: How the simulator ended.
        progress: The last progress that it made.
        idle_seconds: Time since then.

    Raises:
        StalledError: With the end of its output.
    """
    if end.ending is not Ending.STALLED:
        return
    standing = f"after {progress.done} of {progress.total}" if progress else "before its first iteration or episode"
    raise StalledError(
        f"the simulator made no progress for {idle_seconds:.0f} seconds, {standing}, and was ended. {quote(end)}"
    )


def judge_work(end: SimulatorExit, directory: Path, training: WorkloadConfig, num_processes: int) -> Stored:
    """Check the simulator's files, as its workload defines it.

    Args:
        end: How the simulator ended, which an error quotes.
        directory: The run's directory.
        training: The requested training or evaluation.
        num_processes: Number of processes on all nodes.

    Returns:
        The figures of the run.

    Raises:
        SimulationError: Says what is missing, with the end of the simulator's output.
    """
    try:
        return workload_of(training).judge(directory, training, num_processes)
    except SimulationError as error:
        raise SimulationError(f"{error}. {quote(end)}") from error


def quote(end: SimulatorExit) -> str:
    """Quote the end of a simulator's output."""
    lines = [line[:_MAX_QUOTED_CHARACTERS] for line in end.last_lines]
    return "The last lines of its output:\n" + "\n".join(lines) if lines else "It printed nothing."


def _last_good(directory: Path, training: WorkloadConfig, output_files: S3Uri, below: int | None = None) -> str:
    """Name the checkpoint to continue from with other settings."""
    good = workload_of(training).newest(directory, training, below)
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
