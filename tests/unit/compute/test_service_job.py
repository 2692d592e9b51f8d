"""What Batch says of a job on SageMaker, and what it means."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gaitway.compute import ends
from gaitway.compute.backends import job_of_event
from gaitway.compute.ends import End, explain
from gaitway.compute.jobs import Job, JobRequest, JobState
from gaitway.compute.service_job import REPORTED, ServiceJob
from gaitway.compute.training_job import TrainingJobTemplate, submission, training_job
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import ComputeConfig
from gaitway.libraries.simulators import Simulator

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/AWSBatchmy-training-job88b610a69aa8380ca5b0a7aba3f81cb8"
EVENT = {
    "detail-type": "Batch Service Job State Change",
    "source": "aws.batch",
    "detail": {
        "attempts": [
            {
                "serviceResourceId": {"name": "TrainingJobArn", "value": ARN},
                "startedAt": 1641944300058,
                "stoppedAt": 1641944400058,
                "statusReason": "Received status from SageMaker: Training job completed",
            }
        ],
        "createdAt": 1641944200058,
        "jobId": "0bb17543-ece6-4480-b1a7-a556d344746b",
        "jobName": "event-test",
        "latestAttempt": {"serviceResourceId": {"name": "TrainingJobArn", "value": ARN}},
        "status": "SUCCEEDED",
        "statusReason": "Received status from SageMaker: Training job completed",
        "stoppedAt": 1641944400058,
    },
}
"""The example of docs.aws.amazon.com/batch/latest/userguide/service-job-events.html."""


def ended(reason: str, **fields: object) -> Job:
    document: dict[str, Any] = {"jobId": "1", "jobName": "run", "status": "FAILED", "statusReason": reason}
    return ServiceJob.model_validate(document | fields).job()


def test_the_documented_event_is_a_job_that_succeeded() -> None:
    job = job_of_event(EVENT)
    assert job is not None
    assert (job.id, job.name) == ("sagemaker/0bb17543-ece6-4480-b1a7-a556d344746b", "event-test")
    assert (job.state, job.end, job.attempts) == (JobState.SUCCEEDED, None, 1)
    assert job.log is not None
    assert job.log.is_prefix
    assert job.log.stream == f"{ARN.rpartition('/')[2]}/algo-1-"


@pytest.mark.parametrize("state", ["SUBMITTED", "PENDING", "RUNNABLE", "SCHEDULED", "STARTING"])
def test_a_job_that_sagemaker_prepares_waits(state: str) -> None:
    assert ServiceJob(job_id="1", job_name="run", status=state).job().waits


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("Training job runtime exceeded MaxRuntimeInSeconds provided", ends.TIME_IS_OVER),
        ("CapacityError: Unable to provision requested ML compute capacity", ends.NO_CAPACITY),
        ("ResourceLimitExceeded: The account-level service limit 'ml.g6.2xlarge' is 0 Instances", ends.NO_QUOTA),
        ("ClientError: Cannot find the requested image", ends.NO_IMAGE),
        ("ClientError: Unable to mount file system fs-1", ends.NOT_PREPARED),
        ("ClientError: Please use an instance type with more memory", ends.OUT_OF_MEMORY),
        ("InternalServerError: We encountered an internal error. Please try again.", ends.RUNTIME_FAILED),
        ("Training job stopped", ends.STOPPED),
        ("something new", None),
    ],
)
def test_the_ends_that_sagemaker_causes_are_known(reason: str, end: End | None) -> None:
    assert ended(f"Received status from SageMaker: {reason}").end == end


def test_a_job_that_a_user_ended_was_stopped_whatever_the_user_wrote() -> None:
    assert ended("out of memory, I guess", isTerminated=True).end is ends.STOPPED


def test_a_container_that_was_killed_is_explained_by_its_code_and_not_by_words_of_its_output() -> None:
    job = ended("Received status from SageMaker: AlgorithmError: the image of memory, exit code: 137")
    assert (job.exit_code, job.end) == (137, None)
    assert "the runner was killed (exit code 137)" in str(explain(job))


TEMPLATE = TrainingJobTemplate(
    job_queue="training",
    attempts=3,
    instance_types={1: "ml.g6.2xlarge"},
    images={"isaaclab-3": "i-3", "isaaclab-2": "i"},
    training_job={"AlgorithmSpecification": {}, "ResourceConfig": {"VolumeSizeInGB": 50}},
    tags={"GaitwayDeployment": "gaitway"},
)


def asked(group_id: str | None = None, **compute: Any) -> JobRequest:
    config = ComputeConfig.model_validate({"backend": "sagemaker"} | compute)
    return JobRequest("run-0-a", "run-0123456789abcdef0123", config, 600, "Isaac-Ant-v0", group_id)


def test_what_is_submitted_names_the_run_its_task_and_its_group() -> None:
    sent = submission(asked(group_id="sweep_7.a"), TEMPLATE)
    assert sent["shareIdentifier"] == "sweep7a"
    assert sent["tags"] == {
        "GaitwayDeployment": "gaitway",
        "GaitwayRun": "run-0123456789abcdef0123",
        "GaitwayTask": "Isaac-Ant-v0",
        "GaitwayGroup": "sweep_7.a",
    }
    assert json.loads(sent["serviceRequestPayload"]) == training_job(asked(group_id="sweep_7.a"), TEMPLATE)


def test_hosts_and_time_come_from_the_request_and_its_caller() -> None:
    written = training_job(asked(numNodes=3), TEMPLATE)
    assert written["ResourceConfig"] == {"VolumeSizeInGB": 50, "InstanceType": "ml.g6.2xlarge", "InstanceCount": 3}
    assert written["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}
    waiting = training_job(asked(), TEMPLATE.model_copy(update={"wait_seconds": 1000}))
    assert waiting["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1600}


def test_batchs_name_of_a_training_job_is_not_too_long() -> None:
    name = f"AWSBatch{training_job(asked(), TEMPLATE)['TrainingJobName']}{'0' * 32}"
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_only_a_failure_that_was_reported_is_not_attempted_again() -> None:
    rules = submission(asked(), TEMPLATE)["retryStrategy"]["evaluateOnExit"]
    assert rules[0] == {"action": "EXIT", "onStatusReason": f"{REPORTED}*"}
    assert rules[-1] == {"action": "RETRY", "onStatusReason": "Received status from SageMaker: *"}


def test_gpus_that_no_type_has_are_refused() -> None:
    with pytest.raises(RequestError, match=r"gpusPerNode is 8, allowed here on SageMaker: 1 \(what fits"):
        training_job(asked(gpusPerNode=8), TEMPLATE)


def test_a_training_job_has_the_image_of_its_runs_simulator() -> None:
    cases: list[tuple[Simulator | None, str]] = [("isaaclab-3", "i-3"), ("isaaclab-2", "i"), (None, "i")]
    for simulator, image in cases:
        request = training_job(replace(asked(), simulator=simulator), TEMPLATE)
        assert request["AlgorithmSpecification"]["TrainingImage"] == request["Environment"]["GAITWAY_IMAGE"] == image
    with pytest.raises(RequestError, match="the simulator embedded, which is not deployed any more"):
        training_job(replace(asked(), simulator="embedded"), TEMPLATE)
