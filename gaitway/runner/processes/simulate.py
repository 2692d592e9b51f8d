"""Run the simulator in its own process, and never leave that process behind."""

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
from enum import Enum
from pathlib import Path
from typing import IO

from gaitway.contracts.artifacts import SIMULATOR_LOG
from gaitway.contracts.limits import SIMULATOR_STOP_SECONDS
from gaitway.runner.host.environment import without_credentials
from gaitway.runner.host.simulator_user import SimulatorUser, forbid_new_privileges, simulator_user
from gaitway.runner.processes.output_log import OutputLog

logger = logging.getLogger(__name__)

LAST_LINES = 30
"""Lines of output that an error quotes."""
_KEPT_LINES = 300
"""Lines of output that are searched for the cause: a traceback of several processes is long."""
_MAX_LINE_CHARACTERS = 65_536
_POLL_SECONDS = 0.1
_PUMP_ALLOWANCE_SECONDS = 5.0


class Ending(Enum):
    """Why the simulator's process ended."""

    EXITED = "it ended by itself"
    DONE = "the runner ended it, after its work was done"
    STALLED = "the runner ended it, since it made no progress"


@dataclass(frozen=True)
class SimulatorExit:
    """How the simulator's process ended."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    ending: Ending
    lines: tuple[str, ...]
    """The end of its output."""

    @property
    def last_lines(self) -> tuple[str, ...]:
        """What an error quotes."""
        return self.lines[-LAST_LINES:]


@dataclass(frozen=True)
class Watch:
    """Checks that are repeated while the simulator runs."""

    check: Callable[[], None]
    """Raises to end the simulator, whose process has ended before the error reaches the caller."""
    makes_progress: Callable[[], bool]
    """False also ends it."""
    is_done: Callable[[], bool]
    """Whether everything that was requested is there; a process that keeps running long after that is ended."""
    exit_allowance_seconds: float = 60.0
    """How long a process may keep running after its work is done."""


def simulate(
    command: Sequence[str],
    directory: Path,
    watch: Watch,
    on_line: Callable[[str], None],
    log_name: str = SIMULATOR_LOG,
) -> SimulatorExit:
    """Start the simulator in the run's directory and wait until its process ends.

    Its output goes to standard output, to a log file and to `on_line`. Whatever happens, its process group has ended
    when this returns or raises. If the log cannot be written, the run continues; the log then states what it lacks.

    Args:
        command: Command line.
        directory: The run's directory.
        watch: Checked repeatedly.
        on_line: Called with each line of output, from another thread.
        log_name: Name of the log file, to which the output is appended.
    """
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with OutputLog(directory / log_name) as log:
        process = _start(command, directory, simulator_user(os.environ))
        assert process.stdout is not None
        pump = threading.Thread(target=_pump, args=(process.stdout, log, lines, on_line), name="output", daemon=True)
        pump.start()
        try:
            ending = _wait_for_exit(process, watch)
        finally:
            _end_group(process)
            # A process that left the group may hold the pipe open. Its further output is not waited for.
            pump.join(_PUMP_ALLOWANCE_SECONDS)
    return SimulatorExit(process.returncode, ending, tuple(lines))


def _start(command: Sequence[str], directory: Path, user: SimulatorUser | None) -> subprocess.Popen[str]:
    """Start the process, as the simulator's user if there is one, since it runs users' code."""
    environment = without_credentials(os.environ)
    if user is not None:
        user.admit(directory)
        environment = user.environment(os.environ, directory)
        forbid_new_privileges()
    return subprocess.Popen(
        command,
        cwd=directory,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        user=user.uid if user else None,
        group=user.uid if user else None,
        extra_groups=() if user else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own, so that its children can be ended with it.
        start_new_session=True,
    )


def _wait_for_exit(process: subprocess.Popen[str], watch: Watch) -> Ending:
    """Wait until the process ends or must be ended."""
    done_since: float | None = None
    while process.poll() is None:
        watch.check()
        if done_since is None:
            if not watch.makes_progress():
                logger.error("the simulator makes no progress: ending it")
                return Ending.STALLED
            done_since = time.monotonic() if watch.is_done() else None
        elif time.monotonic() - done_since > watch.exit_allowance_seconds:
            logger.warning("the simulator does not exit although its work is done: ending it")
            return Ending.DONE
        time.sleep(_POLL_SECONDS)
    return Ending.EXITED


def _pump(output: IO[str], log: OutputLog, lines: deque[str], on_line: Callable[[str], None]) -> None:
    with output:
        while line := output.readline(_MAX_LINE_CHARACTERS):
            lines.append(line.rstrip("\n"))
            # Each on its own: a run whose log cannot be written still makes and reports progress.
            for write in (on_line, log.write, _print):
                try:
                    write(line)
                except Exception:
                    # The simulator would hang on a full pipe if reading stopped.
                    logger.exception("a line of the simulator's output was lost")


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the process and its whole group: SIGTERM first, SIGKILL later."""
    if _signal_group(process, signal.SIGTERM):
        deadline = time.monotonic() + SIMULATOR_STOP_SECONDS
        while _signal_group(process, 0) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if _signal_group(process, signal.SIGKILL):
            logger.warning("the simulator did not end on SIGTERM: killed")
    process.wait()


def _signal_group(process: subprocess.Popen[str], signal_number: int) -> bool:
    """Signal the group; False if no process of it is left."""
    if process.poll() is not None:
        _reap_orphans(process.pid)
    try:
        # It leads its own session, so its id is the group's, too.
        os.killpg(process.pid, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS raises the latter if only zombies are left
        return False
    return True


def _reap_orphans(group_id: int) -> None:
    """Collect ended processes of the group that became ours: as PID 1 in its container the runner inherits orphans."""
    try:
        while os.waitpid(-group_id, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
