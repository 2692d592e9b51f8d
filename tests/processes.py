"""Waiting for processes that are not ours."""

import os
import select

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
