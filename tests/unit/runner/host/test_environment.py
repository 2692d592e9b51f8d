"""The job's environment is read as a whole, and told apart from a wrong one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gaitway.runner.host.environment import Environment, without_credentials

VARIABLES = {
    "GAITWAY_RUN_TABLE": "runs",
    "GAITWAY_METRICS_NAMESPACE": "Gaitway",
    "GAITWAY_EFS_ROOT": "/mnt/efs",
    "GAITWAY_SIMULATOR": "embedded",
}


def test_what_every_job_is_given_is_read() -> None:
    environment = Environment.of(VARIABLES)

    assert environment.efs_root == Path("/mnt/efs")
    assert environment.heartbeat_seconds == 300


def test_a_missing_variable_is_named_and_no_other_is_shown() -> None:
    with pytest.raises(ValidationError, match="GAITWAY_RUN_TABLE") as caught:
        Environment.of({"GAITWAY_EFS_ROOT": "/mnt/efs", "GAITWAY_SIMULATOR": "embedded", "SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("simulator", ["os.path", "../embedded", ""])
def test_a_simulator_is_a_plain_name(simulator: str) -> None:
    with pytest.raises(ValidationError, match="GAITWAY_SIMULATOR"):
        Environment.of(VARIABLES | {"GAITWAY_SIMULATOR": simulator})


def test_a_simulator_is_given_neither_credentials_nor_the_address_of_any() -> None:
    named = {"GAITWAY_RUN_TABLE": "runs", "GAITWAY_METRICS_NAMESPACE": "Gaitway"}
    of_batch = {"AWS_BATCH_JOB_ID": "job-1", "PATH": "/bin"} | named
    secret = (
        "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL "
        "AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
        "AWS_CONTAINER_AUTHORIZATION_TOKEN ECS_CONTAINER_METADATA_URI_V4"
    )
    assert without_credentials(of_batch | dict.fromkeys(secret.split(), "x")) == of_batch


def test_a_simulator_does_not_take_its_pods_place_for_its_own() -> None:
    of_operator = dict.fromkeys(["MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "PET_NNODES"], "2")
    assert without_credentials(of_operator | {"LOCAL": "1"}) == {"LOCAL": "1"}
