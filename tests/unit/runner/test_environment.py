"""The job's environment is read as a whole, and told apart from a wrong one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from container.runner.environment import Environment, without_credentials

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


def test_a_node_of_a_multi_node_job_is_told_apart_from_its_job() -> None:
    environment = Environment.of(
        VARIABLES
        | {
            "AWS_BATCH_JOB_ID": "job-1#1",
            "AWS_BATCH_JOB_NUM_NODES": "2",
            "AWS_BATCH_JOB_NODE_INDEX": "1",
            "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
            "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.7",
        }
    )

    assert environment.job_id == "job-1"
    assert not environment.is_main_node
    assert (environment.main_node_address, environment.num_nodes) == ("10.0.0.7", 2)


@pytest.mark.parametrize(("attempt", "attempts", "is_last"), [("1", "3", False), ("3", "3", True)])
def test_the_last_attempt_is_known(attempt: str, attempts: str, is_last: bool) -> None:
    variables = VARIABLES | {"AWS_BATCH_JOB_ATTEMPT": attempt, "GAITWAY_JOB_ATTEMPTS": attempts}

    assert Environment.of(variables).is_last_attempt is is_last


def test_a_job_of_which_nothing_is_known_is_the_only_node_and_the_last_attempt() -> None:
    environment = Environment.of(VARIABLES)

    assert environment.is_main_node
    assert environment.is_last_attempt


def test_a_missing_variable_is_named_and_no_other_is_shown() -> None:
    with pytest.raises(ValidationError, match="GAITWAY_RUN_TABLE") as caught:
        Environment.of({"GAITWAY_EFS_ROOT": "/mnt/efs", "GAITWAY_SIMULATOR": "embedded", "SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("simulator", ["os.path", "../embedded", ""])
def test_a_simulator_is_a_plain_name(simulator: str) -> None:
    with pytest.raises(ValidationError, match="GAITWAY_SIMULATOR"):
        Environment.of(VARIABLES | {"GAITWAY_SIMULATOR": simulator})


def test_a_simulator_is_given_neither_credentials_nor_the_address_of_any() -> None:
    of_batch = {"AWS_BATCH_JOB_ID": "job-1", "PATH": "/bin", "GAITWAY_RUN_TABLE": "runs"}
    secret = (
        "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL "
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_AUTHORIZATION_TOKEN ECS_CONTAINER_METADATA_URI_V4"
    )
    assert without_credentials(of_batch | dict.fromkeys(secret.split(), "x")) == of_batch
