"""The agent's commands to Slurm, where Slurm is a script that answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.agent.slurm import Slurm
from gaitway.compute.jobs import JobState
from tests.unit.compute.test_slurm import CONFIG, NAME, ORDER, shown

OTHER = f"{NAME[:-1]}0"


class Commands:
    """Programs with the names of Slurm's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def answer(self, name: str, text: str, code: int = 0, error: str = "") -> None:
        """Let a command answer; it writes down how it was called, and what it was given."""
        program = self._directory / name
        calls = self._directory / f"{name}.calls"
        (self._directory / f"{name}.out").write_text(text)
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {calls}\ncat {program}.out\necho "{error}" >&2\nexit {code}\n',
        )
        program.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """Return the arguments of each call."""
        calls = self._directory / f"{name}.calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    commands = Commands(tmp_path)
    commands.answer("sbatch", "7")
    commands.answer("scancel", "")
    commands.answer("scontrol", shown("RUNNING"))
    commands.answer("sacct", "", code=1, error="Slurm accounting storage is disabled")
    return commands


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(CONFIG.model_copy(update={"efs_root": str(tmp_path / "efs")}))


def test_a_job_is_submitted_once_its_logs_have_a_place(commands: Commands, slurm: Slurm, tmp_path: Path) -> None:
    slurm.submit(ORDER)
    assert commands.calls("sbatch") == ["--parsable"]
    assert (tmp_path / "efs/runs" / ORDER.run_id / "logs" / ORDER.key).is_dir()


def test_what_slurm_refuses_is_never_tried_again_and_a_controller_that_is_away_is(
    commands: Commands, slurm: Slurm
) -> None:
    commands.answer("sbatch", "", 1, "sbatch: error: Batch job submission failed: Invalid partition name specified")
    with pytest.raises(OrderRefusedError, match="Invalid partition name"):
        slurm.submit(ORDER)
    commands.answer("sbatch", "", 1, "sbatch: error: Unable to contact slurm controller (connect failure)")
    with pytest.raises(SchedulerError, match="Unable to contact"):
        slurm.submit(ORDER)


def test_a_job_is_found_while_the_controller_knows_it_and_in_the_records_after_that(
    commands: Commands, slurm: Slurm
) -> None:
    found = slurm.find(ORDER.job_id)
    assert found is not None
    assert found.state is JobState.RUNNING
    commands.answer("scontrol", shown("RUNNING", name="interactive"))
    assert slurm.find(ORDER.job_id) is None
    # Records in a file are not filtered by the name that was asked for.
    commands.answer("sacct", f"{OTHER}-1|COMPLETED\n")
    assert slurm.find(ORDER.job_id) is None
    commands.answer("sacct", f"{NAME}-1|FAILED|10:0\n{OTHER}-1|COMPLETED|0:0\n")
    found = slurm.find(ORDER.job_id)
    assert found is not None
    assert (found.state, found.exit_code) == (JobState.FAILED, 10)


def test_only_the_job_itself_is_cancelled(commands: Commands, slurm: Slurm) -> None:
    commands.answer("scontrol", f"{shown('RUNNING')}\n{shown('RUNNING', name=f'{OTHER}-1').replace('=7', '=8')}")
    slurm.stop(ORDER.job_id, "wrong robot")
    assert commands.calls("scancel") == ["7"]
