"""The steps after a job that succeeded: check, publish, conclude. Each is a state of the inner machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.errors import GaitwayError, InterruptedRunError, RunRefusedError
from gaitway.contracts.run import JobResult, RunResult, RunState, to_json
from lambdas.collect_results.check import check_outputs
from lambdas.collect_results.sinks import PublishedRun
from lambdas.observability import logger
from lambdas.outcome import count_success

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.aws.metrics import Metrics
    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.contracts.pipeline import CollectResultsEvent
    from gaitway.contracts.run import RunRecord, RunSpec
    from lambdas.collect_results.sinks import Sink

_NOT_READABLE: tuple[type[Exception], ...] = (*AWS_ERRORS, ValidationError)


class CollectResults:
    """The collect_results function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        s3: An S3 client.
        metrics: The deployment's metrics; the client gives up early.
        sinks: The systems that runs are published to.
    """

    def __init__(
        self, runs: RunTable, callers: TaskTokens, s3: S3Client, metrics: Metrics, sinks: Sequence[Sink] = ()
    ) -> None:
        self._runs = runs
        self._callers = callers
        self._s3 = s3
        self._metrics = metrics
        self._sinks = sinks

    def handle(self, event: CollectResultsEvent) -> JobResult:
        """Run the step that the event names; repeating it changes nothing.

        Raises:
            ArtifactError: A file is missing, or differs from what the manifest says.
            RunRefusedError: The run has already failed, or belongs to another execution.
            InterruptedRunError: Another attempt has begun since.
        """
        match event.step:
            case "check":
                self._check(event)
            case "publish":
                self._publish(event)
            case "conclude":
                self._conclude(event)
            case None:
                self._check(event)
                self._publish(event)
                self._conclude(event)
        return event.job

    def _check(self, event: CollectResultsEvent) -> None:
        """Check that the run still belongs to the execution, and that its outputs are complete."""
        check_outputs(self._s3, self._current(event), event.job.manifest)

    def _publish(self, event: CollectResultsEvent) -> None:
        """Publish the run to every sink; a failure affects neither the other sinks nor the run."""
        spec = self._current(event)
        results = self._results(spec)
        if results is None:
            return
        run = PublishedRun(spec, results, lambda: self._is_current(event))
        for sink in self._sinks:
            try:
                sink.publish(run)
            except Exception:
                logger.exception("%s: not published by %s", event.run_id, type(sink).__name__)

    def _conclude(self, event: CollectResultsEvent) -> None:
        """Record the run's success, and answer its caller; a caller that no longer waits does not receive it twice."""
        has_just_succeeded = self._runs.update(
            event.run_id,
            of_execution=event.execution_arn,
            # An attempt that began since then has its own files, which the manifest does not list.
            where=None if event.job.attempts is None else {"attempts": event.job.attempts},
            state=RunState.SUCCEEDED,
            ended_at=datetime.now(UTC),
            failure=None,
        )
        record = self._runs.get(event.run_id)
        if record is None or record.state is not RunState.SUCCEEDED or record.execution_arn != event.execution_arn:
            raise _refusal(event, record)
        caller = self._runs.caller(event.run_id, event.execution_arn)
        if caller is None or not self._callers.succeed(caller, to_json(RunResult.of(record))):
            logger.warning("%s: no caller waits for its success", event.run_id)
        if has_just_succeeded:
            count_success(self._metrics)

    def _current(self, event: CollectResultsEvent) -> RunSpec:
        """Read the run's specification, if the event's results are still the run's.

        Raises:
            RunRefusedError: The run has already failed, or belongs to another execution.
            InterruptedRunError: Another attempt has begun since.
        """
        record = self._runs.get(event.run_id)
        if record is None or record.spec is None or not _is_current(event, record):
            raise _refusal(event, record)
        return record.spec

    def _is_current(self, event: CollectResultsEvent) -> bool:
        record = self._runs.get(event.run_id)
        return record is not None and _is_current(event, record)

    def _results(self, spec: RunSpec) -> Results | None:
        """Read the results that are published; None if they cannot be read, which does not fail the run."""
        uri = spec.output_files / RESULTS
        try:
            return Results.read(self._s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read())
        except _NOT_READABLE:
            logger.exception("%s: nothing is published, since %s cannot be read", spec.run_id, uri)
            return None


def _is_current(event: CollectResultsEvent, record: RunRecord) -> bool:
    return (
        record.execution_arn == event.execution_arn
        and record.state is not RunState.FAILED
        and event.job.attempts in (None, record.attempts)
    )


def _refusal(event: CollectResultsEvent, record: RunRecord | None) -> GaitwayError:
    if record is None or record.state.ended or record.execution_arn != event.execution_arn:
        return RunRefusedError(f"{event.run_id} has ended otherwise, or was started again by another execution")
    return InterruptedRunError(
        f"attempt {event.job.attempts} of {event.run_id} reported its results after attempt {record.attempts} had "
        "begun, which writes them again: start the run again, it resumes from its newest checkpoint"
    )
