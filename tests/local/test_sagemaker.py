"""Runs on SageMaker: submitted as service jobs of AWS Batch, run as training jobs of the embedded AWS."""

from __future__ import annotations

from typing import Any

import pytest

from gaitway.client.runs import StartedRun
from gaitway.contracts.request import parse_request
from tests.local.deployed import TINY, ControlPlane, Json

SAGEMAKER = {"backend": "sagemaker"}


def start(plane: ControlPlane, compute: Json | None = None, **training: Any) -> StartedRun:
    """Ask for a run on SageMaker."""
    request = {"trainingConfig": TINY | training, "computeConfig": SAGEMAKER | (compute or {})}
    return plane.runs.start(parse_request(request))


def service_job(plane: ControlPlane, run_id: str) -> Json:
    """Describe the job of a run, as Batch does."""
    record = plane.table.get(run_id)
    assert record is not None
    assert record.job_id is not None
    job: Json = plane.batch.describe_service_job(jobId=record.job_id.removeprefix("sagemaker/"))
    return job


@pytest.mark.usefixtures("local_aws")
def test_a_training_goes_through_batch_and_sagemaker_to_its_results(plane: ControlPlane) -> None:
    started = start(plane, rlLibrary="skrl", checkpointInterval=1)
    ended = plane.ended(started.execution_arn)
    assert ended["status"] == "SUCCEEDED", ended
    record = plane.table.get(started.run_id)
    assert record is not None
    assert record.job_id is not None
    assert record.job_id.startswith("sagemaker/")
    assert record.machine is not None
    assert (record.machine.instance_type, record.machine.usd_per_hour) == ("ml.g6.2xlarge", 1.222)
    job = service_job(plane, started.run_id)
    assert (job["status"], job["shareIdentifier"], len(job["attempts"])) == ("SUCCEEDED", "ungrouped", 1)
