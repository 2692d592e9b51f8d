"""No process outlives the emulator that started it, even when the emulator is killed.

The guard is a separate process that reads from a pipe whose other end the emulator holds. However the
emulator ends, the kernel closes that end; the guard then ends whatever is left. Unlike Linux's parent-death
signal this works on macOS too, and it reaches grandchildren.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil

MARKER = "GAITWAY_EMULATOR_ID"
"""Environment variable that every process of one emulator carries, with the emulator's id as its value."""
_GONE_SECONDS = 10.0
_PAUSE_SECONDS = 0.01


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """Return this user's processes whose environment holds `name` with `value`."""
    found = []
    for process in psutil.process_iter():
        # A process may end during the search, or belong to another user.
        with contextlib.suppress(psutil.Error, OSError):
            if _holds(process, name, value):
                found.append(process)
    return found


def _holds(process: psutil.Process, name: str, value: str) -> bool:
    """Return whether a process was started with a variable.

    A program that changes its title, as slurmstepd does, overwrites the beginning of its environment with zeros, where
    psutil stops reading.
    """
    if sys.platform == "linux":
        return f"{name}={value}".encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return process.environ().get(name) == value


def end_processes(name: str, value: str, process_groups: Iterable[int] = (), spare: Collection[int] = ()) -> None:
    """Kill process groups, and every other process whose environment holds `name` with `value`.

    Neither the caller nor the process ids in `spare` are killed. The groups come first and need no environment,
    because macOS hides the environment of system programs such as /bin/sh. The search for marked processes is repeated
    until there are none: one may fork during a search.
    """
    for group in process_groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while marked := [process for process in processes_with(name, value) if process.pid not in {os.getpid(), *spare}]:
        for process in marked:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > deadline:
            return
        # psutil's own wait would take the child's exit status from the thread of this process that waits for it.
        time.sleep(_PAUSE_SECONDS)


class Guard:
    """The emulator's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gaitway.local.guard"],
            stdin=subprocess.PIPE,
            text=True,
            bufsize=1,
            # A Ctrl-C in the emulator's terminal must not end the guard first.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's own process id."""
        return self._process.pid

    def watch(self, process_group: int) -> None:
        """End this process group, should the emulator end before `forget`."""
        self._tell(f"+{process_group}")

    def forget(self, process_group: int) -> None:
        """Do not kill this process group: it has ended, and its number may be used again."""
        self._tell(f"-{process_group}")

    def close(self) -> None:
        """End every process that is left, and the guard."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(line + "\n")


def main() -> None:
    """Read the groups to watch until the emulator is gone, then end them."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end_processes(MARKER, os.environ[MARKER], groups)


if __name__ == "__main__":
    main()
