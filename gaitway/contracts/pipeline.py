"""What the inner state machine (statemachines/pipeline.py) passes to its functions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from gaitway.contracts.message import Message
from gaitway.contracts.model import Received
from gaitway.contracts.run import JobResult, RunExecution
from gaitway.contracts.text import Like
from gaitway.contracts.vams_message import read_older


class PipelineEvent(Received):
    """What every function of the inner machine receives."""

    # An error that shows its input ends up in a log, and one of these events holds a token.
    model_config = ConfigDict(hide_input_in_errors=True)

    run_id: str
    execution_arn: str
    """The inner execution that calls. An execution that a newer one has replaced may not change the run any more."""

    @property
    def execution(self) -> RunExecution:
        """The inner execution that calls."""
        return RunExecution(self.execution_arn)


class ConstructRunEvent(PipelineEvent):
    """What the caller asked for."""

    message: Annotated[Message, BeforeValidator(read_older)]


class SubmitJobEvent(PipelineEvent):
    """The task that waits for the job."""

    timeout_seconds: Annotated[int, Field(ge=60)]
    task_token: Annotated[str, Field(min_length=1, repr=False)]


class CollectResultsEvent(PipelineEvent):
    """What the job reported, and which of the steps after the job to run."""

    job: JobResult
    step: Literal["check", "publish", "conclude"] | None = None
    """None from an execution of an older machine, in which one state runs all steps."""


class ReportedError(Received):
    """An error, as Step Functions passes it to a Catch."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    error: Annotated[str, Field(alias="Error")]
    cause: Annotated[str, Field(alias="Cause")] = ""


class HandleFailureEvent(PipelineEvent):
    """Why the run failed."""

    error: ReportedError


class EndedExecution(Received):
    """An execution of the inner machine that ended without success, whether HandleFailure was completed or not."""

    execution_arn: Annotated[str, Like(r".*:execution:[^:]+:.+-[^:-]+", "the ARN of an execution of a run")]
    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    error: str | None = None
    cause: str | None = None

    @property
    def execution(self) -> RunExecution:
        """The execution."""
        return RunExecution(self.execution_arn)


class ExecutionEndedEvent(Received):
    """The event that the rule on executions makes from "Step Functions Execution Status Change"."""

    model_config = ConfigDict(hide_input_in_errors=True)

    ended_execution: EndedExecution
