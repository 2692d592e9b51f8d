"""The simulator finds Isaac Sim, or says that it is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.simulators.isaaclab2.world import environment


def without_python_sh(isaac_sim: Path) -> dict[str, str]:
    variables = environment(ISAACSIM_ROOT_PATH=str(isaac_sim))
    del variables["CARB_APP_PATH"]
    return variables


def start(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gaitway.simulators.isaaclab2", "simulation.json"],
        cwd=directory,
        env=without_python_sh(directory),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_that_was_started_without_isaac_sim_begins_again_through_it(tmp_path: Path) -> None:
    launcher = tmp_path / "python.sh"
    launcher.write_text('#!/bin/sh\necho "$GAITWAY_LAUNCHER_PID" "$@"\n')
    launcher.chmod(0o755)
    assert start(tmp_path).stdout == f"{os.getpid()} -m gaitway.simulators.isaaclab2 simulation.json\n"


def test_a_process_ends_with_its_launcher_though_a_shell_lies_between() -> None:
    waiting = "from gaitway.simulators.common.ranks import end_with_launcher as end; end({}); input()"
    with subprocess.Popen(["sleep", "60"]) as torchrun:
        worker = subprocess.Popen(
            [sys.executable, "-c", waiting.format(torchrun.pid)], env=environment(), stdin=subprocess.PIPE
        )
        torchrun.kill()
        torchrun.wait()
        assert worker.wait(timeout=30) == 1
        assert worker.stdin is not None
        worker.stdin.close()


def test_a_machine_without_isaac_sim_is_told_what_to_do(tmp_path: Path) -> None:
    ended = start(tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "python.sh" in line
    assert "GAITWAY_SIMULATOR=embedded" in line
