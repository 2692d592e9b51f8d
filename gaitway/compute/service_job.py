"""A job that AWS Batch queues and SageMaker runs, and its meaning.

docs.aws.amazon.com/batch/latest/userguide/service-jobs.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gaitway.compute import ends
from gaitway.compute.batch_answer import BatchAnswer
from gaitway.compute.ends import End
from gaitway.compute.jobs import Job, JobState, LogAddress

BACKEND = "sagemaker"
SERVICE = "SageMaker"
EVENT_TYPE = "Batch Service Job State Change"
"""docs.aws.amazon.com/batch/latest/userguide/service-job-events.html"""
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""
FAILURE_MARK = "Gaitway reported:"
"""Beginning of what the runner writes as the reason of a failure that the run's caller has received: Batch makes no
further attempt then."""
SAID = "Received status from SageMaker: "
"""Beginning of what Batch says of SageMaker: docs.aws.amazon.com/batch/latest/userguide/service-job-retries.html"""
REPORTED = f"{SAID}AlgorithmError: {FAILURE_MARK}"
"""How SageMaker shows what is in the container's failure file: github.com/aws/sagemaker-python-sdk/issues/1442."""

STATES = {
    "SUBMITTED": JobState.WAITING,
    "PENDING": JobState.WAITING,
    "RUNNABLE": JobState.WAITING,
    "SCHEDULED": JobState.WAITING,
    "STARTING": JobState.WAITING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
}
"""docs.aws.amazon.com/batch/latest/userguide/service-job-status.html"""

_PREFIX = f"{BACKEND}/"
_EXIT_CODE = re.compile(r"exit code: (?P<code>\d+)", re.IGNORECASE)
"""github.com/aws-samples/amazon-sagemaker-ml-pipeline-deploy-with-terraform/issues/12"""
_ENDS = tuple(
    (re.compile(pattern, re.IGNORECASE), end)
    for pattern, end in (
        (r"MaxRuntime|MaxWaitTime|exceeded.*timeout", ends.TIME_IS_OVER),
        (r"CapacityError|insufficient capacity", ends.NO_CAPACITY),
        (r"ResourceLimitExceeded", ends.NO_QUOTA),
        (r"AccessDenied|not authorized", ends.NO_PERMISSION),
        (r"(image|repository).*(does not exist|not found)|(pull|find).*image", ends.NO_IMAGE),
        (r"(mount|file system).*(fail|timed? ?out|unable)|(fail|unable).*(mount|file system)", ends.NOT_PREPARED),
        (r"memory", ends.OUT_OF_MEMORY),
        (r"InternalServerError|InternalFailure", ends.RUNTIME_FAILED),
    )
)
"""Ends that SageMaker causes. Its messages are documented in part only:
docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-troubleshooting.html"""


class _Resource(BatchAnswer):
    value: str
    """The training job's ARN."""


class _Attempt(BatchAnswer):
    service_resource_id: _Resource | None = None
    status_reason: str | None = None


class ServiceJob(BatchAnswer):
    """A job, as DescribeServiceJob, ListServiceJobs and the events of its states describe it."""

    job_id: str
    job_name: str
    status: str
    status_reason: str | None = None
    created_at: int | None = None
    """In milliseconds since the epoch."""
    stopped_at: int | None = None
    is_terminated: bool = False
    attempts: tuple[_Attempt, ...] = ()
    """Those that have ended."""
    latest_attempt: _Attempt | None = None

    @property
    def id(self) -> str:
        """Its id, as a run's record has it."""
        return f"{_PREFIX}{self.job_id}"

    @property
    def training_job_arn(self) -> str | None:
        """ARN of its newest training job; None before the first."""
        newest = self.latest_attempt or (self.attempts[-1] if self.attempts else None)
        return newest.service_resource_id.value if newest and newest.service_resource_id else None

    def job(self, node: int | None = None) -> Job:
        """Describe it in words of no back end."""
        # A state that is new at AWS counts as one of an active job.
        state = STATES.get(self.status, JobState.RUNNING)
        words = (self.status_reason or (self.attempts[-1].status_reason if self.attempts else None) or "").strip()
        code = _EXIT_CODE.search(words)
        has_ended = state in (JobState.SUCCEEDED, JobState.FAILED)
        return Job(
            id=self.id,
            name=self.job_name,
            state=state,
            service=SERVICE,
            end=self._end(words, has_code=code is not None) if has_ended else None,
            reason=words,
            exit_code=int(code["code"]) if code else None,
            attempts=len(self.attempts),
            created_at=_moment(self.created_at),
            ended_at=_moment(self.stopped_at),
            log=self._log(node or 0),
        )

    def _end(self, words: str, *, has_code: bool) -> End | None:
        if self.status == "SUCCEEDED":
            return None
        # Only the end of a container has a code: its words are the runner's or the simulator's.
        end = next((end for pattern, end in _ENDS if pattern.search(words)), None) if not has_code else None
        if end is ends.TIME_IS_OVER:
            return end
        # With the reason that a user wrote.
        return ends.STOPPED if self.is_terminated or words.endswith("Training job stopped") else end

    def _log(self, node: int) -> LogAddress | None:
        arn = self.training_job_arn
        if arn is None:
            return None
        return LogAddress(LOG_GROUP, f"{arn.rpartition('/')[2]}/algo-{node + 1}-", is_prefix=True)


def read_event(event: Mapping[str, Any]) -> Job | None:
    """Read the job whose state has changed."""
    return ServiceJob.model_validate(event["detail"]).job()


def aws_id(job_id: str) -> str:
    """Return the id that Batch knows a job by."""
    return job_id.removeprefix(_PREFIX)


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds is not None else None
