"""Read why an execution of the inner machine ended that has not reported it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.errors import CancelledError
from gaitway.contracts.pipeline import HandleFailureEvent, ReportedError
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

    from gaitway.contracts.pipeline import EndedExecution


def failure_of(ended: EndedExecution, stepfunctions: SFNClient) -> HandleFailureEvent:
    """Describe the end of an execution as its own Catch would have.

    Args:
        ended: The execution.
        stepfunctions: A Step Functions client, for details that the event lacks.
    """
    error, cause = ended.error, ended.cause
    if not error and not cause:
        try:
            execution = stepfunctions.describe_execution(executionArn=ended.execution_arn)
            error, cause = execution.get("error"), execution.get("cause")
        except AWS_ERRORS:
            # The status alone is enough to end the run.
            logger.exception("how %s ended is not known in detail", ended.execution_arn)
    return HandleFailureEvent(
        run_id=ended.execution.run_id,
        execution_arn=ended.execution_arn,
        error=_reported(ended, error or "", cause or ""),
    )


def _reported(ended: EndedExecution, error: str, cause: str) -> ReportedError:
    if ended.status == "TIMED_OUT":
        return ReportedError(error="States.Timeout", cause="")
    if ended.status == "ABORTED":
        said = ": ".join(filter(None, [error, cause]))
        words = f", saying {said!r}" if said else ""
        return ReportedError(
            error=CancelledError.__name__,
            cause=f"somebody stopped the run's execution{words}. What it had trained is kept; this run is tried no "
            "more, but a new one can continue from its newest checkpoint (resumeFrom)",
        )
    return ReportedError(error=error or "States.TaskFailed", cause=cause)
