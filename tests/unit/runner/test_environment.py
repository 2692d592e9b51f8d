"""The job's environment is read as a whole, and told apart from a wrong one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from container.runner.environment import Environment

VARIABLES = {
    "GAITWAY_RUN_TABLE": "runs",
    "GAITWAY_EFS_ROOT": "/mnt/efs",
    "GAITWAY_SIMULATOR": "embedded",
    "AWS_BATCH_JOB_ID": "job-1",
}


def test_what_batch_sets_is_read() -> None:
    environment = Environment.of(VARIABLES | {"AWS_BATCH_JOB_ATTEMPT": "2"})

    assert environment.efs_root == Path("/mnt/efs")
    assert (environment.job_id, environment.attempt) == ("job-1", 2)
    assert environment.heartbeat_seconds == 300


def test_a_missing_variable_is_named_and_no_other_is_shown() -> None:
    with pytest.raises(ValidationError, match="GAITWAY_RUN_TABLE") as caught:
        Environment.of({"GAITWAY_EFS_ROOT": "/mnt/efs", "GAITWAY_SIMULATOR": "embedded", "SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("simulator", ["os.path", "../embedded", ""])
def test_a_simulator_is_a_plain_name(simulator: str) -> None:
    with pytest.raises(ValidationError, match="GAITWAY_SIMULATOR"):
        Environment.of(VARIABLES | {"GAITWAY_SIMULATOR": simulator})
