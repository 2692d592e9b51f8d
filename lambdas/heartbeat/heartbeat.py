"""Look after every run that goes on: once every few minutes, and each one by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.aws.metrics import publish
from gaitway.contracts.errors import CancelledError, Failure, GaitwayError, InterruptedRunError
from gaitway.contracts.run import CALLER_GONE, CALLER_GRACE_SECONDS, RunRecord, RunTokens
from lambdas.batch_job import Job
from lambdas.heartbeat.decide import Need, decide
from lambdas.heartbeat.measure import LIVE, measure
from lambdas.heartbeat.orphans import Orphans
from lambdas.job_ends import explain, vanished
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import IndexedRun, RunTable
    from gaitway.aws.task_tokens import TaskTokens

THREADS = 16
"""A run takes a handful of calls that mostly wait: a thousand of them are done in well under a minute."""
_MAX_DESCRIBED_JOBS = 100
"""In one call of DescribeJobs: docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html"""
_NEVER_STARTED = "the run was accepted, and its execution never started: start the run again"


class Heartbeat:
    """The heartbeat function.

    Args:
        runs: The run table.
        task_tokens: Answers the tokens of those who wait.
        batch: A Batch client.
        stepfunctions: A Step Functions client.
        lambda_: A Lambda client.
        cloudwatch: A CloudWatch client.
        handle_failure: Name or ARN of the function that ends a run.
        job_queues: ARNs of the queues whose jobs are ours.
        clock: The current time.
    """

    def __init__(
        self,
        runs: RunTable,
        task_tokens: TaskTokens,
        batch: BatchClient,
        stepfunctions: SFNClient,
        lambda_: LambdaClient,
        cloudwatch: CloudWatchClient,
        handle_failure: str,
        job_queues: Sequence[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._runs = runs
        self._task_tokens = task_tokens
        self._batch = batch
        self._stepfunctions = stepfunctions
        self._lambda = lambda_
        self._cloudwatch = cloudwatch
        self._handle_failure = handle_failure
        self._clock = clock
        self._orphans = Orphans(runs, batch, job_queues, clock)

    def handle(self) -> int:
        """Look after every run, publish how many there are, and end jobs without one.

        Returns:
            How many runs go on.

        Raises:
            RuntimeError: Some of them could not be looked after; the others were.
        """
        runs = list(self._runs.list_in(*LIVE))
        jobs, unknown = self._describe([run.job_id for run in runs if run.job_id is not None])
        known = [run for run in runs if run.job_id not in unknown]
        with ThreadPoolExecutor(THREADS) as pool:
            looked_after = list(pool.map(lambda run: self._try(run, jobs.get(run.job_id or "")), known))
        records = [record for is_well, record in looked_after if record is not None]
        # Last, since no run depends on these.
        publish(self._cloudwatch, measure(runs, jobs, records, self._clock()))
        self._orphans.end(jobs.keys() | unknown)
        failures = len(runs) - sum(is_well for is_well, _ in looked_after)
        if failures:
            raise RuntimeError(f"{failures} of {len(runs)} runs could not be looked after: see the errors before this")
        return len(runs)

    def _describe(self, job_ids: list[str]) -> tuple[dict[str, Job], set[str]]:
        """Ask Batch for jobs.

        Returns:
            Those that it knows, by id; and the ids of which it said nothing, not even that it does not know them.
        """
        jobs: dict[str, Job] = {}
        unknown: set[str] = set()
        for start in range(0, len(job_ids), _MAX_DESCRIBED_JOBS):
            group = job_ids[start : start + _MAX_DESCRIBED_JOBS]
            try:
                described = self._batch.describe_jobs(jobs=group)["jobs"]
            except (ClientError, BotoCoreError):
                logger.exception("%d jobs could not be described", len(group))
                unknown.update(group)
            else:
                jobs |= {job.job_id: job for job in map(Job.model_validate, described)}
        return jobs, unknown

    def _try(self, run: IndexedRun, job: Job | None) -> tuple[bool, RunRecord | None]:
        """Look after a run; one that fails keeps no other from its heartbeat.

        Returns:
            Whether that went well, and the run's record, where it could be read.
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
            return  # it went on since the index was read
        match decide(record, job, self._clock()):
            case Need.HEARTBEAT:
                self._beat(record, tokens)
            case Need.JOB_IS_OVER if job is not None:
                self._fail(record, tokens, explain(job))
            case Need.JOB_IS_GONE:
                self._fail(record, tokens, vanished(record.job_id or ""))
            case Need.EXECUTION:
                self._end_with_its_execution(record)

    def _beat(self, record: RunRecord, tokens: RunTokens) -> None:
        if tokens.inner is None or not self._task_tokens.heartbeat(tokens.inner):
            self._end_with_its_execution(record)
        elif tokens.external is not None and not self._task_tokens.heartbeat(tokens.external):
            self._miss_caller(record, tokens)
        elif record.caller_gone_at is not None:
            self._runs.update(record.run_id, of_execution=record.execution_arn, caller_gone_at=None)

    def _miss_caller(self, record: RunRecord, tokens: RunTokens) -> None:
        """Cancel a run that nobody waits for, once it is certain that nobody comes again."""
        now = self._clock()
        if record.caller_gone_at is None:
            self._runs.update(record.run_id, of_execution=record.execution_arn, caller_gone_at=now)
        elif (
            (now - record.caller_gone_at).total_seconds() > CALLER_GRACE_SECONDS
            # A caller that has tried again meanwhile has left its token.
            and self._runs.tokens_of(record.run_id, record.execution_arn) == tokens
        ):
            self._fail(record, tokens, CancelledError(CALLER_GONE))

    def _fail(self, record: RunRecord, tokens: RunTokens, error: GaitwayError) -> None:
        """Fail the task that waits for the job; where it waits no more, see whether its execution goes on."""
        logger.warning("%s: %s", record.run_id, type(error).__name__)
        if tokens.inner is None or not self._task_tokens.fail(tokens.inner, Failure.of(error)):
            self._end_with_its_execution(record)

    def _end_with_its_execution(self, record: RunRecord) -> None:
        """End a run whose execution is over: nobody else will."""
        ended = self._ended_execution(record.execution_arn or "")
        if ended is None:
            return
        logger.warning("%s: its execution is over, and it is not", record.run_id)
        event = {"ended_execution": {"execution_arn": record.execution_arn, **ended}}
        self._lambda.invoke(
            FunctionName=self._handle_failure, InvocationType="Event", Payload=json.dumps(event).encode()
        )

    def _ended_execution(self, execution_arn: str) -> dict[str, str | None] | None:
        """Tell how an execution ended; None where it goes on."""
        try:
            execution = self._stepfunctions.describe_execution(executionArn=execution_arn)
        except self._stepfunctions.exceptions.ExecutionDoesNotExist:
            return {"status": "FAILED", "error": InterruptedRunError.__name__, "cause": _NEVER_STARTED}
        if execution["status"] not in ("FAILED", "TIMED_OUT", "ABORTED"):
            return None
        return {"status": execution["status"], "error": execution.get("error"), "cause": execution.get("cause")}
