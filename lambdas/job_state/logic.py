"""End a run whose job ended without a report, or whose caller has ended.

Both are reported on the task token of SubmitJob; the inner machine's Catch does the rest of a failure. A token accepts
only one answer, so that an event that comes twice, or after the runner's own report, changes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.ends import explain
from gaitway.contracts.errors import CancelledError, Failure
from gaitway.contracts.run import RunRecord, run_id_of, run_id_of_job, workflow_output_path
from lambdas.observability import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.compute.jobs import Job, Jobs
    from gaitway.contracts.run import RunTokens
    from lambdas.job_state.events import EndedCaller

_WRITTEN_SECONDS = 5.0
"""Within this time after it has submitted a job, submit_job has recorded the job's id."""
_POLL_SECONDS = 0.5


class JobState:
    """The job_state function.

    Args:
        runs: The run table.
        task_tokens: Answers the inner machine's token.
        jobs: The deployment's jobs.
        stepfunctions: A Step Functions client.
        asset_bucket: The bucket in which our own workflow's runs write.
        sleep: Waits a number of seconds.
    """

    def __init__(
        self,
        runs: RunTable,
        task_tokens: TaskTokens,
        jobs: Jobs,
        stepfunctions: SFNClient,
        asset_bucket: str,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._runs = runs
        self._task_tokens = task_tokens
        self._jobs = jobs
        self._stepfunctions = stepfunctions
        self._asset_bucket = asset_bucket
        self._sleep = sleep

    def job_ended(self, job: Job) -> bool:
        """Report to the inner machine why a job ended, if it still waits for that job.

        Args:
            job: The job, as the event describes it.

        Returns:
            Whether the machine received it.
        """
        run_id = run_id_of_job(job.name)
        if run_id is None or not job.has_ended:
            return False
        record, tokens = self._run_of(run_id, job)
        if record is None or tokens.inner is None:
            return False
        told = self._task_tokens.fail(tokens.inner, Failure.of(explain(self._described(job))))
        if told:
            logger.warning("%s: job %s ended without a report", record.run_id, job.id)
        return told

    def caller_ended(self, caller: EndedCaller) -> bool:
        """Cancel the run that an execution of our own workflow started, unless it ended first.

        Returns:
            Whether there was something to cancel.
        """
        record = self._runs.get(run_id_of(workflow_output_path(self._asset_bucket, caller.execution_name)))
        if record is None or record.state.ended or record.execution_arn is None:
            return False
        failure = Failure.of(
            CancelledError(
                f"the caller's execution {caller.execution_name} ended ({caller.status}), so that no caller waits for "
                "this run: it was cancelled. What it had trained is kept; a new run can continue from there "
                "(resumeFrom)"
            )
        )
        tokens = self._runs.tokens_of(record.run_id, record.execution_arn)
        if tokens.inner is not None:
            # Refused if the job has reported its result: the run is about to end by itself.
            cancelled = self._task_tokens.fail(tokens.inner, failure)
        else:
            cancelled = self._stop(record.execution_arn, failure)
        logger.warning("%s: its caller ended, cancelled: %s", record.run_id, cancelled)
        return cancelled

    def _run_of(self, run_id: str, job: Job) -> tuple[RunRecord | None, RunTokens]:
        """Find the run that waits for a job; None where it ended, or has another job or execution by now."""
        give_up_at = time.monotonic() + _WRITTEN_SECONDS
        while True:
            record = self._runs.get(run_id)
            record, tokens = self._runs.owned(run_id, record.execution_arn if record else None)
            if record is None or not record.awaits(job.id, job.name):
                return None, tokens
            # A job may end before submit_job has recorded it. If that never happens, only the name says which run it
            # belongs to.
            if record.job_id is not None or time.monotonic() >= give_up_at:
                return record, tokens
            self._sleep(_POLL_SECONDS)

    def _described(self, job: Job) -> Job:
        """Look up what the event may lack: who ended the job."""
        try:
            described = self._jobs.get(job.id)
        except AWS_ERRORS as error:
            logger.warning("job %s could not be described: %s", job.id, error)
            return job
        return described if described is not None and described.has_ended else job

    def _stop(self, execution_arn: str, failure: Failure) -> bool:
        """Stop an execution that has no task to fail yet; its end is handled like any other from outside."""
        try:
            self._stepfunctions.stop_execution(executionArn=execution_arn, error=failure.error, cause=failure.cause)
        except self._stepfunctions.exceptions.ExecutionDoesNotExist:
            return False
        except ClientError as error:
            # It has ended meanwhile.
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            return False
        return True
