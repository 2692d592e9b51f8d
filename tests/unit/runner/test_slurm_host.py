"""The runner's host on Slurm."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gaitway.runner.host.hosts import BACKEND, host_of

VARIABLES = {
    BACKEND: "hyperpod-slurm",
    "GAITWAY_JOB_ID": "hyperpod-slurm/run-0123456789abcdef0123-0123456789ab-1",
    "GAITWAY_JOB_ATTEMPTS": "3",
    "GAITWAY_TIMEOUT_SECONDS": "3600",
    "GAITWAY_MAIN_ADDRESS": "10.0.0.7",
    "GAITWAY_NODE_PORT": "20007",
    "SLURM_JOB_ID": "7",
}


def variables(seconds_ago: float = 1.0, **further: str) -> dict[str, str]:
    return {**VARIABLES, "GAITWAY_ATTEMPT_BEGAN_AT": str(time.time() - seconds_ago), **further}


def no_client(service: str) -> object:
    pytest.fail(f"no call of {service} is needed")


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `scontrol show job` answers."""
    answer = tmp_path / "answer"
    answer.write_text("JobId=7 JobState=RUNNING Reason=None")
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\ncat {answer}\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return answer


def test_attempts_and_nodes_are_slurms() -> None:
    host = host_of(variables(SLURM_RESTART_COUNT="2", SLURM_JOB_NUM_NODES="4", SLURM_NODEID="3"), no_client)
    assert (host.job_id, host.attempt, host.may_be_attempted_again) == (VARIABLES["GAITWAY_JOB_ID"], 3, False)
    nodes = host.nodes
    assert (nodes.count, nodes.index, nodes.is_main, nodes.main_address, nodes.port) == (4, 3, False, "10.0.0.7", 20007)
    first = host_of(variables(), no_client)
    assert (first.attempt, first.nodes.count, first.nodes.is_main, first.may_be_attempted_again) == (1, 1, True, True)


def test_a_job_that_is_asked_to_stop_is_attempted_again_unless_somebody_ended_it(says: Path) -> None:
    assert host_of(variables(), no_client).is_attempted_again_after_stop()
    says.write_text("JobId=7 JobState=CANCELLED Reason=None")
    assert not host_of(variables(), no_client).is_attempted_again_after_stop()


def test_a_job_whose_time_is_over_is_not_attempted_again(says: Path) -> None:
    assert "RUNNING" in says.read_text()
    assert not host_of(variables(seconds_ago=3590), no_client).is_attempted_again_after_stop()


def test_without_slurms_commands_a_job_is_attempted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host_of(variables(), no_client).is_attempted_again_after_stop()


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ValueError, match="GAITWAY_MAIN_ADDRESS"):
        host_of({name: value for name, value in variables().items() if name != "GAITWAY_MAIN_ADDRESS"}, no_client)
