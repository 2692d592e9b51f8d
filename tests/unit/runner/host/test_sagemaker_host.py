"""The runner in a SageMaker training job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gaitway.contracts.errors import Failure, SimulationError
from gaitway.runner.host.hosts import host_of
from gaitway.runner.host.sagemaker import SageMakerHost

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/AWSBatchrun"


class Aws:
    """Batch and SageMaker, as this job sees them."""

    def __init__(self, *attempts: str, status: str = "InProgress", terminated: bool = False) -> None:
        self.attempts = [{"serviceResourceId": {"name": "TrainingJobArn", "value": one}} for one in attempts]
        self.status = status
        self.terminated = terminated

    def __call__(self, service: str) -> Any:
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_service_jobs"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **query: Any) -> Iterator[dict[str, Any]]:
        assert query == {"jobQueue": "training", "filters": [{"name": "JOB_NAME", "values": ["run-0-a"]}]}
        older = {"latestAttempt": {"serviceResourceId": {"name": "TrainingJobArn", "value": "another"}}}
        yield {"jobSummaryList": [older | {"jobId": "older", "jobName": "run-0-a", "status": "FAILED"}]}
        yield {"jobSummaryList": [self.describe_service_job()]}

    def describe_service_job(self, jobId: str = "mine") -> dict[str, Any]:  # noqa: N803 - boto3's name
        latest = {"serviceResourceId": {"name": "TrainingJobArn", "value": ARN}}
        return {
            "jobId": jobId,
            "jobName": "run-0-a",
            "status": "RUNNING",
            "latestAttempt": latest,
            "attempts": self.attempts,
            "isTerminated": self.terminated,
        }

    def describe_training_job(self, TrainingJobName: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        assert TrainingJobName == "AWSBatchrun"
        return {"TrainingJobStatus": self.status}


def host(base: Path, aws: Aws, current: str = "algo-1", hosts: int = 1, **variables: str) -> SageMakerHost:
    config = base / "input" / "config"
    config.mkdir(parents=True)
    resources = {
        "current_host": current,
        "hosts": [f"algo-{number}" for number in range(hosts, 0, -1)],
        "current_instance_type": "ml.g6.2xlarge",
        "a_field_that_is_new": 1,
    }
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    environment = {
        "GAITWAY_BACKEND": "sagemaker",
        "TRAINING_JOB_ARN": ARN,
        "TRAINING_JOB_NAME": "AWSBatchrun",
        "GAITWAY_JOB_NAME": "run-0-a",
        "GAITWAY_JOB_QUEUE": "training",
        "GAITWAY_JOB_ATTEMPTS": "3",
        "SAGEMAKER_BASE_DIR": str(base),
    }
    found = host_of(environment | variables, aws)
    assert isinstance(found, SageMakerHost)
    return found


def test_it_finds_out_which_attempt_of_which_job_it_is(tmp_path: Path) -> None:
    found = host(tmp_path, Aws("first"))
    assert (found.job_id, found.attempt, found.may_be_attempted_again) == ("sagemaker/mine", 2, True)


def test_the_last_attempt_knows_that_it_is_the_last(tmp_path: Path) -> None:
    assert not host(tmp_path, Aws("first", "second")).may_be_attempted_again


def test_hosts_are_nodes_in_the_same_order_everywhere(tmp_path: Path) -> None:
    nodes = host(tmp_path, Aws(), current="algo-10", hosts=11).nodes
    assert (nodes.count, nodes.index, nodes.main_index, nodes.main_address) == (11, 9, 0, "algo-1")
    assert not nodes.is_main


@pytest.mark.parametrize(
    ("spot", "status", "terminated", "again"),
    [
        ("true", "InProgress", False, True),
        ("true", "Stopping", False, False),
        ("true", "InProgress", True, False),
        ("false", "InProgress", False, False),
    ],
)
def test_only_a_spot_instance_that_is_taken_back_is_followed_by_another(
    tmp_path: Path, spot: str, status: str, terminated: bool, again: bool
) -> None:
    aws = Aws(status=status, terminated=terminated)
    assert host(tmp_path, aws, GAITWAY_MANAGED_SPOT=spot).is_attempted_again_after_stop() is again


def test_the_machine_costs_what_sagemaker_takes_for_it(tmp_path: Path) -> None:
    machine = host(tmp_path, Aws(), GAITWAY_MANAGED_SPOT="true").machine(2, {})
    assert machine is not None
    assert (machine.instance_type, machine.purchase, machine.nodes) == ("ml.g6.2xlarge", "spot", 2)
    assert machine.usd_per_hour == pytest.approx(0.9776 * 1.25)


def test_a_failure_is_written_where_sagemaker_shows_it(tmp_path: Path) -> None:
    failure = Failure.of(SimulationError(f"the loss is NaN {'x' * 2000}\nits last lines"))
    host(tmp_path, Aws()).report_failure(failure)
    written = (tmp_path / "output" / "failure").read_text()
    assert written.startswith("Gaitway reported: SimulationError: the loss is NaN x")
    assert len(written) == 1024
    assert "its last lines" not in written


def test_a_file_of_hosts_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    variables = {"GAITWAY_BACKEND": "sagemaker", "TRAINING_JOB_ARN": ARN, "TRAINING_JOB_NAME": "n"}
    variables |= {"GAITWAY_JOB_NAME": "n", "GAITWAY_JOB_QUEUE": "q", "SAGEMAKER_BASE_DIR": str(tmp_path)}
    with pytest.raises(ValueError, match=r"resourceconfig\.json does not describe the hosts"):
        host_of(variables, Aws())
