"""What the inner state machine (statemachines/pipeline.asl.json) hands to its Lambdas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from gaitway.contracts.model import Model
from gaitway.contracts.request import VamsMessage
from gaitway.contracts.run import JobResult


class PipelineEvent(Model):
    """What every Lambda of the inner machine is told."""

    # An error that shows its input ends up in a log, and one of these events holds a token.
    model_config = ConfigDict(hide_input_in_errors=True)

    run_id: str
    execution_arn: str
    """The inner execution that calls: one that a newer execution has replaced may not touch the run any more."""


class ConstructRunEvent(PipelineEvent):
    """The request, as it arrived."""

    message: VamsMessage


class SubmitJobEvent(PipelineEvent):
    """The task that waits for the job."""

    timeout_seconds: Annotated[int, Field(ge=60)]
    task_token: Annotated[str, Field(min_length=1, repr=False)]


class CollectResultsEvent(PipelineEvent):
    """What the job reported."""

    job: JobResult


class ReportedError(Model):
    """An error as Step Functions hands it to a Catch."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    error: Annotated[str, Field(alias="Error")]
    cause: Annotated[str, Field(alias="Cause")] = ""


class HandleFailureEvent(PipelineEvent):
    """Why the run failed."""

    error: ReportedError


class EndedExecution(Model):
    """An execution of the inner machine that ended without success, whether HandleFailure came to its end or not."""

    execution_arn: Annotated[str, Field(pattern=r":execution:[^:]+:.+-[^:-]+$")]
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    error: str | None = None
    cause: str | None = None


class ExecutionEndedEvent(Model):
    """What the rule on executions makes of "Step Functions Execution Status Change"."""

    model_config = ConfigDict(hide_input_in_errors=True)

    ended_execution: EndedExecution
