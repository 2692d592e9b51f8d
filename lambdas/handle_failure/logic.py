"""End a run that failed: stop its job, record the cause, salvage its files, and report to its caller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import ArtifactError, Failure, PlatformError
from gaitway.contracts.limits import ENDING_RUNNER_SECONDS, SALVAGE_SECONDS
from gaitway.contracts.run import RunRecord, RunResult, RunState, to_json
from lambdas.handle_failure.explain import explain
from lambdas.handle_failure.run_files import MountedFiles, RunFiles, SynchronisedFiles
from lambdas.handle_failure.salvage import FailedRun, Salvage
from lambdas.observability import logger
from lambdas.outcome import count_failure

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.aws.metrics import Metrics
    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.compute.jobs import Jobs
    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.pipeline import HandleFailureEvent

_CANNOT_STOP: tuple[type[Exception], ...] = (*AWS_ERRORS, PlatformError)
"""The back end cannot be reached, or is not known here."""
_RESERVE_SECONDS = 10.0
"""Kept back from the function's own time."""
_MAX_REASON_CHARACTERS = 256
"""Enough to recognise the failure in the list of jobs; the whole cause is in the record."""


class HandleFailure:
    """The handle_failure function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        jobs: The deployment's jobs; the clients give up early.
        s3: An S3 client that gives up early.
        metrics: The deployment's metrics; the client gives up early.
        efs_root: Mount point of EFS; None if nothing is to be salvaged from it.
        synchronised_runs: Prefix below which SageMaker keeps the directories of its runs; None if they are on EFS.
        salvage_seconds: How long the caller waits for the salvage.
        runner_seconds: How long to wait for a runner that ends.
    """

    def __init__(
        self,
        runs: RunTable,
        callers: TaskTokens,
        jobs: Jobs,
        s3: S3Client,
        metrics: Metrics,
        efs_root: Path | None,
        *,
        synchronised_runs: S3Uri | None = None,
        salvage_seconds: float = SALVAGE_SECONDS,
        runner_seconds: float = ENDING_RUNNER_SECONDS,
    ) -> None:
        self._runs = runs
        self._callers = callers
        self._jobs = jobs
        self._s3 = s3
        self._metrics = metrics
        self._efs_root = efs_root
        self._synchronised_runs = synchronised_runs
        self._salvage_seconds = salvage_seconds
        self._runner_seconds = runner_seconds

    def handle(self, event: HandleFailureEvent, seconds_left: Callable[[], float]) -> Failure:
        """End a run, if there is one; a repeated call only completes what an earlier one started.

        Args:
            event: The run, and why it failed.
            seconds_left: How long the call may still take.

        Returns:
            The cause.
        """
        return self._end(event, seconds_left)[0]

    def complete(self, event: HandleFailureEvent, seconds_left: Callable[[], float]) -> Failure:
        """Do the same for an execution that has ended, and report an incomplete salvage.

        Raises:
            ArtifactError: Some files of the run are not in S3 yet: call this again.
        """
        failure, is_complete = self._end(event, seconds_left)
        if not is_complete:
            raise ArtifactError(
                f"not everything that {event.run_id} left on EFS is in S3 yet; when it is tried no more, call this "
                "function again with the same event"
            )
        return failure

    def _end(self, event: HandleFailureEvent, seconds_left: Callable[[], float]) -> tuple[Failure, bool]:
        record = self._runs.get(event.run_id)
        failure = explain(event.error, record)
        logger.warning("%s failed: %s", event.run_id, failure.error)
        if record is None or record.execution_arn != event.execution_arn:
            return failure, True
        has_just_failed = False
        if record.state is not RunState.SUCCEEDED:
            self._stop_job(record, failure)
            has_just_failed = self._runs.update(
                event.run_id,
                of_execution=event.execution_arn,
                state=RunState.FAILED,
                ended_at=datetime.now(UTC),
                failure=failure,
            )
            record = self._runs.get(event.run_id)
        with self._salvage(record, event.execution_arn) as salvage:
            if salvage is not None:
                salvage.wait(min(self._salvage_seconds, seconds_left() - _RESERVE_SECONDS))
            self._tell_caller(event, failure)
            if has_just_failed:
                count_failure(self._metrics, failure)
            if salvage is not None:
                salvage.wait(seconds_left() - _RESERVE_SECONDS)
        # The first cause counts, and is reported to everyone.
        told = record.failure if record is not None else None
        return told or failure, salvage is None or salvage.is_complete

    def _stop_job(self, record: RunRecord, failure: Failure) -> None:
        if record.job_id is None:
            return
        reason = f"{failure.error}: {failure.cause}"[:_MAX_REASON_CHARACTERS]
        try:
            self._jobs.stop(record.job_id, reason)
        except _CANNOT_STOP:
            # The caller must be answered nevertheless; the job stops by itself when its next heartbeat is refused.
            logger.exception("%s: job %s could not be stopped", record.run_id, record.job_id)

    def _salvage(self, record: RunRecord | None, execution_arn: str) -> AbstractContextManager[Salvage | None]:
        """Start to salvage the files of a run; nothing if it has none, or has ended differently meanwhile."""
        if self._efs_root is None or record is None or not _has_failed(record, execution_arn):
            return nullcontext()
        run = FailedRun.of(record)
        if run is None:
            return nullcontext()

        def is_wanted() -> bool:
            latest = self._runs.get(record.run_id)
            return latest is not None and _has_failed(latest, execution_arn)

        files = self._files(run, self._efs_root)
        return Salvage(run, self._s3, files, is_wanted, runner_seconds=self._runner_seconds)

    def _files(self, run: FailedRun, efs_root: Path) -> RunFiles:
        """Find the directory of a run."""
        job_id, run_id = run.record.job_id, run.spec.run_id
        if self._synchronised_runs is None or run.spec.compute.backend != "sagemaker":
            return MountedFiles(run_directory(efs_root, run_id))

        def is_active() -> bool:
            try:
                job = self._jobs.get(job_id) if job_id is not None else None
            except _CANNOT_STOP:
                logger.exception("%s: whether its job has ended is not known", run_id)
                return False
            return job is not None and not job.has_ended

        return SynchronisedFiles(self._s3, self._synchronised_runs / f"{run_id}/", is_active)

    def _tell_caller(self, event: HandleFailureEvent, failure: Failure) -> None:
        """Report the outcome in the record: the run may have ended before this failure of its execution."""
        record = self._runs.get(event.run_id)
        caller = self._runs.caller(event.run_id, event.execution_arn)
        if record is None or caller is None:
            return
        if record.state is RunState.SUCCEEDED:
            told = self._callers.succeed(caller, to_json(RunResult.of(record)))
        else:
            told = self._callers.fail(caller, record.failure or failure)
        if not told:
            logger.warning("%s: it has no caller any more", event.run_id)


def _has_failed(record: RunRecord, execution_arn: str) -> bool:
    return record.state is RunState.FAILED and record.execution_arn == execution_arn
