"""Check every active run, every few minutes, and each one independently."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gaitway.aws.metrics import Metrics
from gaitway.compute.ends import explain, vanished
from gaitway.compute.jobs import Described, Job, Jobs
from gaitway.contracts.errors import CancelledError, Failure, GaitwayError, InterruptedRunError
from gaitway.contracts.limits import CALLER_GRACE_SECONDS
from gaitway.contracts.run import CALLER_GONE, RunRecord, RunTokens
from lambdas.heartbeat.decide import Need, decide
from lambdas.heartbeat.measure import LIVE, measure
from lambdas.heartbeat.orphans import Orphans
from lambdas.inactive import is_waking
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import IndexedRun, RunTable
    from gaitway.aws.task_tokens import TaskTokens

THREADS = 16
"""A run takes a few calls that mostly wait: a thousand runs are checked in well under a minute."""
_NEVER_STARTED = "the run was accepted, and its execution never started: start the run again"


class Heartbeat:
    """The heartbeat function.

    Args:
        runs: The run table.
        task_tokens: Answers task tokens.
        jobs: The deployment's jobs.
        stepfunctions: A Step Functions client.
        lambda_: A Lambda client.
        metrics: The deployment's metrics.
        handle_failure: Name or ARN of the function that ends a run.
        clock: The current time.
    """

    def __init__(
        self,
        runs: RunTable,
        task_tokens: TaskTokens,
        jobs: Jobs,
        stepfunctions: SFNClient,
        lambda_: LambdaClient,
        metrics: Metrics,
        handle_failure: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._runs = runs
        self._task_tokens = task_tokens
        self._jobs = jobs
        self._stepfunctions = stepfunctions
        self._lambda = lambda_
        self._metrics = metrics
        self._handle_failure = handle_failure
        self._clock = clock
        self._orphans = Orphans(runs, jobs, clock)

    def handle(self) -> int:
        """Check every run, publish how many there are, and end jobs without one.

        Returns:
            The number of active runs.

        Raises:
            RuntimeError: Some of them could not be checked; the others were.
        """
        runs = list(self._runs.list_in(*LIVE))
        described = self._describe([run.job_id for run in runs if run.job_id is not None])
        jobs = described.jobs
        known = [run for run in runs if run.job_id not in described.unanswered]
        with ThreadPoolExecutor(THREADS) as pool:
            looked_after = list(pool.map(lambda run: self._try(run, jobs.get(run.job_id or "")), known))
        records = [record for is_well, record in looked_after if record is not None]
        # Last, since no run depends on these.
        self._metrics.publish(measure(runs, jobs, records, self._clock()))
        self._orphans.end(jobs.keys() | described.unanswered.keys())
        failures = len(runs) - sum(is_well for is_well, _ in looked_after)
        if failures:
            raise RuntimeError(f"{failures} of {len(runs)} runs could not be looked after: see the errors before this")
        return len(runs)

    def _describe(self, job_ids: list[str]) -> Described:
        described = self._jobs.describe(job_ids)
        for error in set(described.unanswered.values()):
            jobs = [job_id for job_id, why in described.unanswered.items() if why is error]
            logger.error("%d jobs could not be described", len(jobs), exc_info=error)
        return described

    def _try(self, run: IndexedRun, job: Job | None) -> tuple[bool, RunRecord | None]:
        """Check a run; an error in one run does not affect the others.

        Returns:
            Whether that succeeded, and the run's record if it could be read.
        """
        record = None
        try:
            record, tokens = self._runs.owned(run.run_id, run.execution_arn)
            self._look_after(run, job, record, tokens)
        except Exception:
            logger.exception("%s could not be looked after", run.run_id)
            return False, record
        return True, record

    def _look_after(self, run: IndexedRun, job: Job | None, record: RunRecord | None, tokens: RunTokens) -> None:
        if record is None or record.state.ended or record.job_id != run.job_id:
            return  # it moved on since the index was read
        match decide(record, job, self._clock()):
            case Need.HEARTBEAT:
                self._beat(record, tokens)
            case Need.JOB_IS_OVER if job is not None:
                self._fail(record, tokens, explain(job))
            case Need.JOB_IS_GONE:
                self._fail(record, tokens, vanished(record.job_id or ""))
            case Need.EXECUTION:
                self._end_with_its_execution(record, tokens)

    def _beat(self, record: RunRecord, tokens: RunTokens) -> None:
        if tokens.inner is None or not self._task_tokens.heartbeat(tokens.inner):
            self._end_with_its_execution(record, tokens)
        elif tokens.external is not None and not self._task_tokens.heartbeat(tokens.external):
            self._miss_caller(record, tokens)
        elif record.caller_gone_at is not None:
            self._runs.update(record.run_id, of_execution=record.execution_arn, caller_gone_at=None)

    def _miss_caller(self, record: RunRecord, tokens: RunTokens) -> None:
        """Cancel a run without a caller, once it is certain that none will come back."""
        now = self._clock()
        if record.caller_gone_at is None:
            self._runs.update(record.run_id, of_execution=record.execution_arn, caller_gone_at=now)
        elif (
            (now - record.caller_gone_at).total_seconds() > CALLER_GRACE_SECONDS
            # A caller that has retried meanwhile has left its token.
            and self._runs.tokens_of(record.run_id, record.execution_arn) == tokens
        ):
            self._fail(record, tokens, CancelledError(CALLER_GONE))

    def _fail(self, record: RunRecord, tokens: RunTokens, error: GaitwayError) -> None:
        """Fail the task that waits for the job; if it waits no more, check whether its execution is active."""
        logger.warning("%s: %s", record.run_id, type(error).__name__)
        if tokens.inner is None or not self._task_tokens.fail(tokens.inner, Failure.of(error)):
            self._end_with_its_execution(record, tokens)

    def _end_with_its_execution(self, record: RunRecord, tokens: RunTokens) -> None:
        """End a run whose execution is over, because nothing else will; if it is active, keep the caller waiting."""
        ended = self._ended_execution(record.execution_arn or "")
        if ended is None:
            # In the steps before and after the job, no runner sends heartbeats.
            if tokens.external is not None:
                self._task_tokens.heartbeat(tokens.external)
            return
        logger.warning("%s: its execution is over, and it is not", record.run_id)
        event = {"ended_execution": {"execution_arn": record.execution_arn, **ended}}
        try:
            self._lambda.invoke(
                FunctionName=self._handle_failure, InvocationType="Event", Payload=json.dumps(event).encode()
            )
        except ClientError as error:
            if not is_waking(error):
                raise
            # It is active when this function checks the run again.
            logger.warning("%s is left until handle_failure is awake: %s", record.run_id, error)

    def _ended_execution(self, execution_arn: str) -> dict[str, str | None] | None:
        """Return how an execution ended; None if it is active."""
        try:
            execution = self._stepfunctions.describe_execution(executionArn=execution_arn)
        except self._stepfunctions.exceptions.ExecutionDoesNotExist:
            return {"status": "FAILED", "error": InterruptedRunError.__name__, "cause": _NEVER_STARTED}
        if execution["status"] not in ("FAILED", "TIMED_OUT", "ABORTED"):
            return None
        return {"status": execution["status"], "error": execution.get("error"), "cause": execution.get("cause")}
