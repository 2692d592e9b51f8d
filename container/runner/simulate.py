"""Run the simulator in a process of its own, and never leave it behind."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from container.runner.prepare import SIMULATION_FILE
from container.runner.stop import StopRequest

logger = logging.getLogger(__name__)

SIMULATOR_LOG = "simulator.log"
LAST_LINES = 30
"""Lines of output that an error quotes."""
_MAX_LINE_CHARACTERS = 65_536
_POLL_SECONDS = 0.1
_EXIT_ALLOWANCE_SECONDS = 60.0
"""Isaac Sim sometimes does not exit after training."""
_TERM_ALLOWANCE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL: AWS Batch gives the whole job 30 seconds."""
_PUMP_ALLOWANCE_SECONDS = 5.0


@dataclass(frozen=True)
class SimulatorExit:
    """How the simulator's process ended."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    by_runner: bool
    """Whether the runner ended it, after its work was done."""
    last_lines: tuple[str, ...]


def simulate(
    command: Sequence[str],
    directory: Path,
    stop: StopRequest,
    on_line: Callable[[str], None],
    is_done: Callable[[], bool],
) -> SimulatorExit:
    """Start the simulator in the run's directory and wait until its process ends.

    Its output goes to standard output, to `simulator.log` and to `on_line`. Whatever happens, its process group is gone
    when this returns or raises.

    Args:
        command: Command line, to which the name of the simulation's file is added.
        directory: The run's directory.
        stop: Looked at all the time; the simulator is ended before the reason is raised.
        on_line: Called with each line of output, from another thread.
        is_done: Whether everything that was asked for is there; a process that stays long after that is ended.
    """
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
    with (directory / SIMULATOR_LOG).open("a", buffering=1, encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, SIMULATION_FILE],
            cwd=directory,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own, so that its children can be ended with it.
            start_new_session=True,
        )
        assert process.stdout is not None
        pump = threading.Thread(
            target=_pump, args=(process.stdout, log, last_lines, on_line), name="output", daemon=True
        )
        pump.start()
        try:
            by_runner = not _wait_for_exit(process, stop, is_done)
        finally:
            _end_group(process)
            # A process that left the group may hold the pipe open: what it still says is not waited for.
            pump.join(_PUMP_ALLOWANCE_SECONDS)
    return SimulatorExit(process.returncode, by_runner, tuple(last_lines))


def _wait_for_exit(process: subprocess.Popen[str], stop: StopRequest, is_done: Callable[[], bool]) -> bool:
    """Wait; False where the process stays although its work is done."""
    done_since: float | None = None
    while process.poll() is None:
        stop.check()
        if done_since is None:
            done_since = time.monotonic() if is_done() else None
        elif time.monotonic() - done_since > _EXIT_ALLOWANCE_SECONDS:
            logger.warning("the simulator does not exit although its work is done: ending it")
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _pump(output: IO[str], log: IO[str], last_lines: deque[str], on_line: Callable[[str], None]) -> None:
    with output:
        while line := output.readline(_MAX_LINE_CHARACTERS):
            last_lines.append(line.rstrip("\n"))
            try:
                log.write(line)
                sys.stdout.write(line)
                sys.stdout.flush()
                on_line(line)
            except Exception:
                # The simulator would hang on a full pipe if nobody read on.
                logger.exception("a line of the simulator's output was lost")


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the process with every process of its group, politely first."""
    if _signal_group(process, signal.SIGTERM):
        deadline = time.monotonic() + _TERM_ALLOWANCE_SECONDS
        while _signal_group(process, 0) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if _signal_group(process, signal.SIGKILL):
            logger.warning("the simulator did not end on SIGTERM: killed")
    process.wait()


def _signal_group(process: subprocess.Popen[str], signal_number: int) -> bool:
    """Signal the group; False where no process of it is left."""
    if process.poll() is not None:
        _reap_orphans(process.pid)
    try:
        # It leads its own session, so its id is the group's, too.
        os.killpg(process.pid, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS answers the latter where only zombies are left
        return False
    return True


def _reap_orphans(group_id: int) -> None:
    """Collect ended processes of the group that became ours: as PID 1 in its container the runner inherits orphans."""
    try:
        while os.waitpid(-group_id, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
