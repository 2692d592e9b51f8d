"""End a run whose job ended without a word, or whose caller has gone.

Both are told on the task token of SubmitJob: what else belongs to a failure, the inner machine's Catch does. A token
that has been answered takes no second answer, so that an event that comes twice, or after the runner's own word,
changes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.errors import CancelledError, Failure
from gaitway.contracts.run import RunRecord, run_id_of, workflow_output_path
from lambdas.batch_job import Job, run_id_of_job
from lambdas.job_ends import explain
from lambdas.observability import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_batch import BatchClient
    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.contracts.run import RunTokens
    from lambdas.job_state.events import EndedCaller

_WRITTEN_SECONDS = 5.0
"""Within this time after it has submitted a job, submit_job has written down which one."""
_POLL_SECONDS = 0.5


class JobState:
    """The job_state function.

    Args:
        runs: The run table.
        task_tokens: Answers the inner machine's token.
        batch: A Batch client.
        stepfunctions: A Step Functions client.
        asset_bucket: Where our own workflow lets its runs write.
        sleep: Waits a number of seconds.
    """

    def __init__(
        self,
        runs: RunTable,
        task_tokens: TaskTokens,
        batch: BatchClient,
        stepfunctions: SFNClient,
        asset_bucket: str,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._runs = runs
        self._task_tokens = task_tokens
        self._batch = batch
        self._stepfunctions = stepfunctions
        self._asset_bucket = asset_bucket
        self._sleep = sleep

    def job_ended(self, job: Job) -> bool:
        """Tell the inner machine why a job ended, if it still waits for that job.

        Args:
            job: The job, as the event describes it. Batch says FAILED only where no further attempt comes.

        Returns:
            Whether the machine was told.
        """
        run_id = run_id_of_job(job.job_name)
        if run_id is None or job.is_node or not job.has_ended:
            return False
        record, tokens = self._run_of(run_id, job)
        if record is None or tokens.inner is None:
            return False
        told = self._task_tokens.fail(tokens.inner, Failure.of(explain(self._described(job))))
        if told:
            logger.warning("%s: job %s ended without a word", record.run_id, job.job_id)
        return told

    def caller_ended(self, caller: EndedCaller) -> bool:
        """Cancel the run that an execution of our own workflow asked for, unless it ended first.

        Returns:
            Whether there was something to cancel.
        """
        record = self._runs.get(run_id_of(workflow_output_path(self._asset_bucket, caller.execution_name)))
        if record is None or record.state.ended or record.execution_arn is None:
            return False
        failure = Failure.of(
            CancelledError(
                f"the caller's execution {caller.execution_name} ended ({caller.status}), so that nobody waits for "
                "this run: it was cancelled. What it had trained is kept; a new run can start from its checkpoints "
                "(resumeCheckpoint)"
            )
        )
        tokens = self._runs.tokens_of(record.run_id, record.execution_arn)
        if tokens.inner is not None:
            # Refused where the job has told its result: the run is about to end by itself.
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
            if (
                record is None
                or record.state.ended
                or (record.execution_arn or "").rpartition(":")[2] != job.job_name
                or record.job_id not in (None, job.job_id)
            ):
                return None, tokens
            # A job may end before submit_job has written it down. If it never does, the name alone says whose it is.
            if record.job_id is not None or time.monotonic() >= give_up_at:
                return record, tokens
            self._sleep(_POLL_SECONDS)

    def _described(self, job: Job) -> Job:
        """Ask for what the event may lack: who ended the job."""
        try:
            found = self._batch.describe_jobs(jobs=[job.job_id])["jobs"]
        except (ClientError, BotoCoreError) as error:
            logger.warning("job %s could not be described: %s", job.job_id, error)
            return job
        described = [Job.model_validate(one) for one in found]
        return next((one for one in described if one.has_ended), job)

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
