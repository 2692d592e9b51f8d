"""End a run that failed: stop its job, write down why, and tell its caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.run import RunRecord, RunResult, RunState, to_json
from lambdas.handle_failure.explain import explain
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.contracts.errors import Failure
    from gaitway.contracts.pipeline import HandleFailureEvent

_MAX_REASON_CHARACTERS = 256
"""Enough to recognise the failure in the list of jobs; the whole cause stands in the record."""


class HandleFailure:
    """The handle_failure function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        batch: A Batch client.
    """

    def __init__(self, runs: RunTable, callers: TaskTokens, batch: BatchClient) -> None:
        self._runs = runs
        self._callers = callers
        self._batch = batch

    def handle(self, event: HandleFailureEvent) -> Failure:
        """End a run, as far as there is one; doing so again changes nothing.

        Returns:
            Why it failed.
        """
        record = self._runs.get(event.run_id)
        failure = explain(event.error, record)
        logger.warning("%s failed: %s", event.run_id, failure.error)
        if record is None or record.execution_arn != event.execution_arn:
            return failure
        self._stop_job(record, failure)
        self._runs.update(
            event.run_id,
            of_execution=event.execution_arn,
            state=RunState.FAILED,
            ended_at=datetime.now(UTC),
            failure=failure,
        )
        self._tell_caller(event, failure)
        return failure

    def _stop_job(self, record: RunRecord, failure: Failure) -> None:
        if record.job_id is None:
            return
        reason = f"{failure.error}: {failure.cause}"[:_MAX_REASON_CHARACTERS]
        try:
            # Does nothing to a job that has ended: docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
            self._batch.terminate_job(jobId=record.job_id, reason=reason)
        except (ClientError, BotoCoreError):
            # The caller must be told nevertheless; the job stops by itself when its next heartbeat finds nobody.
            logger.exception("%s: job %s could not be stopped", record.run_id, record.job_id)

    def _tell_caller(self, event: HandleFailureEvent, failure: Failure) -> None:
        """Tell the outcome that the record shows: the run may have ended before this failure of its execution."""
        record = self._runs.get(event.run_id)
        caller = self._runs.caller(event.run_id, event.execution_arn)
        if record is None or caller is None:
            return
        if record.state is RunState.SUCCEEDED:
            told = self._callers.succeed(caller, to_json(RunResult.of(record)))
        else:
            told = self._callers.fail(caller, record.failure or failure)
        if not told:
            logger.warning("%s: nobody waits for it any more", event.run_id)
