"""What AWS Batch tells its jobs."""

from typing import Any

import pytest
from pydantic import ValidationError

from gaitway.runner.host.host import Host, Nodes
from gaitway.runner.host.hosts import host_of

VARIABLES = {"AWS_BATCH_JOB_ID": "job-1"}


def host(**variables: str) -> Host:
    def nobody(service: str) -> Any:
        raise AssertionError(f"{service} is not needed")

    return host_of(VARIABLES | variables, nobody)


def test_what_batch_sets_is_read() -> None:
    found = host(AWS_BATCH_JOB_ATTEMPT="2")
    assert (found.job_id, found.attempt) == ("job-1", 2)


def test_a_node_of_a_multi_node_job_is_told_apart_from_its_job() -> None:
    found = host(
        AWS_BATCH_JOB_ID="job-1#1",
        AWS_BATCH_JOB_NUM_NODES="2",
        AWS_BATCH_JOB_NODE_INDEX="1",
        AWS_BATCH_JOB_MAIN_NODE_INDEX="0",
        AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS="10.0.0.7",
    )
    assert found.job_id == "job-1"
    assert not found.nodes.is_main
    assert found.nodes == Nodes(count=2, index=1, main_index=0, main_address="10.0.0.7", port=29_400)


@pytest.mark.parametrize(("attempt", "attempts", "is_last"), [("1", "3", False), ("3", "3", True)])
def test_the_last_attempt_is_known(attempt: str, attempts: str, is_last: bool) -> None:
    found = host(AWS_BATCH_JOB_ATTEMPT=attempt, GAITWAY_JOB_ATTEMPTS=attempts)
    assert found.may_be_attempted_again is not is_last


def test_a_job_of_which_nothing_is_known_is_the_only_node_and_the_last_attempt() -> None:
    found = host()
    assert found.nodes.is_main
    assert not found.may_be_attempted_again
    # Nobody is asked.
    assert not found.is_attempted_again_after_stop()


def test_a_missing_variable_is_named_and_no_other_is_shown() -> None:
    with pytest.raises(ValidationError, match="AWS_BATCH_JOB_ID") as caught:
        host_of({"SECRET": "hunter2"}, lambda service: None)
    assert "hunter2" not in str(caught.value)


def test_a_back_end_that_the_image_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match=r"GAITWAY_BACKEND is 'abacus', allowed: batch"):
        host(GAITWAY_BACKEND="abacus")
