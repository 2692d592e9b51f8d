"""Processes that are not ours."""

import os
import select
from contextlib import suppress

import psutil

from gaitway.local.guard import processes_with

_SECONDS = 20.0


def wait_until_ended(pid: int) -> None:
    """Wait for a process's end, which follows a signal in the kernel's own time; nobody need have collected it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], _SECONDS)
    finally:
        os.close(descriptor)
    assert ended, f"process {pid} has not ended"


def kill_processes(name: str, value: str) -> None:
    """Kill the processes that are there now and have a variable; one of them may end by itself meanwhile."""
    doomed = processes_with(name, value)
    assert doomed, f"no process has {name}={value}"
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
