"""Processes are ended by what their environment holds."""

import os
import signal
import subprocess
import sys
import uuid

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
