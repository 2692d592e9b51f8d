"""Processes are ended by what their environment holds."""

import os
import signal
import subprocess
import sys
import uuid

import pytest

from gaitway.local.guard import end_processes, processes_with

NAME = "GAITWAY_TEST_GUARD"


def test_who_started_a_process_still_learns_how_it_ended() -> None:
    value = uuid.uuid4().hex
    command = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]
    with subprocess.Popen(command, env=os.environ | {NAME: value}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end_processes(NAME, value)
        assert processes_with(NAME, value) == []
        assert process.wait() == -signal.SIGKILL


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets a process change what others read of its environment"
)
def test_a_process_that_writes_its_title_over_its_environment_is_ended_too() -> None:
    value = uuid.uuid4().hex
    # As slurmstepd does: env_start is the 50th field of /proc/pid/stat (man 5 proc).
    title = (
        "import ctypes, time\n"
        "start = int(open('/proc/self/stat').read().rpartition(')')[2].split()[47])\n"
        "ctypes.memset(start, 0, 16)\n"
        "print('begun', flush=True); time.sleep(600)"
    )
    variables = {"FIRST": "x" * 32, **os.environ, NAME: value}
    with subprocess.Popen([sys.executable, "-c", title], env=variables, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert [found.pid for found in processes_with(NAME, value)] == [process.pid]
        end_processes(NAME, value)
        assert process.wait() == -signal.SIGKILL
