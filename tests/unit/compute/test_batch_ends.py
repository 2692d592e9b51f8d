"""What a job's end means, in the words that AWS Batch uses for it."""

from typing import Any

import pytest

from gaitway.compute import ends
from gaitway.compute.batch_job import read_job
from gaitway.compute.ends import explain, vanished
from gaitway.compute.jobs import Job, JobState, LogAddress
from gaitway.contracts.errors import Failure


def job(status_reason: str | None = None, **fields: Any) -> Job:
    document = {"jobId": "job-1", "jobName": "n", "status": "FAILED", "statusReason": status_reason}
    return read_job(document | fields)


def container(reason: str | None = None, exit_code: int | None = None) -> dict[str, Any]:
    return {"container": {"reason": reason, "exitCode": exit_code}}


@pytest.mark.parametrize(
    ("ended", "error", "retryable", "said"),
    [
        (
            job("Task failed to start", **container("CannotPullContainerError: pull access denied for gaitway")),
            "PlatformError",
            False,
            "containerImageUri",
        ),
        (
            job("Task failed to start", **container("CannotPullECRContainerError: AccessDeniedException")),
            "PlatformError",
            False,
            "containerImageUri",
        ),
        (
            job("Task failed to start", **container("CannotPullContainerError: context deadline exceeded")),
            "InterruptedRunError",
            True,
            "registry",
        ),
        (
            job("Task failed to start", **container("CannotPullContainerError: write /x: no space left on device")),
            "PlatformError",
            False,
            "storage",
        ),
        (
            job("Task failed to start", **container("CannotStartContainerError: exec: not found")),
            "PlatformError",
            False,
            "image",
        ),
        (
            job("ResourceInitializationError: failed to invoke EFS utils commands"),
            "InterruptedRunError",
            True,
            "mount targets",
        ),
        (job("Host EC2 (instance i-0123) terminated."), "InterruptedRunError", True, "taken away"),
        (
            job(
                "Essential container in task exited",
                **container("OutOfMemoryError: Container killed due to memory usage", 137),
            ),
            "SimulationError",
            True,
            "numEnvs",
        ),
        (job("Essential container in task exited", **container(None, 137)), "InterruptedRunError", True, "killed"),
        (
            job("Essential container in task exited", **container(None, 139)),
            "InterruptedRunError",
            True,
            "exit code 139",
        ),
        (job("Job attempt duration exceeded timeout"), "InterruptedRunError", True, "for as long as its caller allows"),
        (
            job("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", isCancelled=True),
            "PlatformError",
            False,
            "instanceTypes",
        ),
        (
            job("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", isCancelled=True),
            "PlatformError",
            False,
            "maxVcpus",
        ),
        (job("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", isCancelled=True), "PlatformError", False, "service role"),
        (job("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", isCancelled=True), "InterruptedRunError", True, "later"),
        (
            job("wrong learning rate, sorry", isTerminated=True),
            "CancelledError",
            False,
            "AWS Batch said: wrong learning rate, sorry",
        ),
        (job("not today", isCancelled=True), "CancelledError", False, "stopped from outside"),
        (job(None, isTerminated=True), "CancelledError", False, "stopped from outside"),
        (
            job("I saw an OutOfMemoryError", isTerminated=True, **container(None, 143)),
            "CancelledError",
            False,
            "said: I saw an OutOfMemoryError",
        ),
        (job("something that Batch never said before"), "InterruptedRunError", True, "never said before"),
        (job(None), "InterruptedRunError", True, "Look at the job in AWS Batch"),
        (
            job("Essential container in task exited", status="SUCCEEDED", **container(None, 0)),
            "InterruptedRunError",
            True,
            "without reporting",
        ),
    ],
    ids=lambda value: None if not isinstance(value, Job) else (value.reason or "no reason"),
)
def test_a_jobs_end_is_told_with_batchs_reason_and_what_to_do(
    ended: Job, error: str, retryable: bool, said: str
) -> None:
    failure = Failure.of(explain(ended))
    assert (failure.error, failure.retryable) == (error, retryable)
    assert said in failure.cause
    assert "job-1" in failure.cause
    if ended.state is JobState.FAILED:
        assert ended.reason in failure.cause


def test_the_last_attempt_of_several_decides_and_they_are_counted() -> None:
    attempts = [
        {"statusReason": "Host EC2 (instance i-1) terminated.", "container": {}},
        {"statusReason": "Essential container in task exited", "container": {"exitCode": 137}},
    ]
    failure = Failure.of(explain(job("Essential container in task exited", attempts=attempts)))
    assert "exit code 137" in failure.cause
    assert "after 2 attempts" in failure.cause
    assert "i-1" not in failure.cause


def test_a_multi_node_job_has_no_container_of_its_own() -> None:
    attempts = [{"statusReason": "Task failed to start", "container": {"reason": "CannotPullContainerError: denied"}}]
    assert Failure.of(explain(job("Task failed to start", attempts=attempts))).error == "PlatformError"


def test_a_job_that_vanished_can_go_on_where_it_stood() -> None:
    failure = Failure.of(vanished("job-1"))
    assert (failure.error, failure.retryable) == ("InterruptedRunError", True)
    assert "job-1" in failure.cause
    assert "Start the run again" in failure.cause


def test_what_batch_may_add_to_its_events_is_ignored() -> None:
    assert job("x", container={"image": "i", "exitCode": 1, "surprise": {}}, eksAttempts=[]).exit_code == 1


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"])
def test_a_job_without_a_container_waits(status: str) -> None:
    assert job(status=status).waits


def test_what_ended_an_attempt_is_no_end_of_a_job_that_goes_on() -> None:
    attempts = [{"statusReason": "Host EC2 (instance i-1) terminated.", "container": {}}]
    goes_on = job(None, status="RUNNABLE", attempts=attempts)
    assert (goes_on.end, goes_on.attempts) == (None, 1)
    assert job(None, attempts=attempts).end is ends.MACHINE_LOST


def test_a_state_that_is_new_at_aws_is_no_end() -> None:
    assert not job(None, status="SUSPENDED").has_ended


def test_the_log_is_that_of_the_newest_attempt() -> None:
    attempts = [{"container": {"logStreamName": "first"}}, {"container": {"logStreamName": "second"}}]
    options = {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/gaitway/job"}}}
    assert job(container=options, attempts=attempts).log == LogAddress("/gaitway/job", "second")
    assert job(container=options | {"logStreamName": "third"}, attempts=attempts).log == LogAddress(
        "/gaitway/job", "third"
    )
    assert job(container={"logStreamName": "only"}).log == LogAddress("/aws/batch/job", "only")
    assert job(container=options).log is None
