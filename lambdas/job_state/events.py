"""What EventBridge sends to job_state."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from gaitway.contracts.model import Model
from lambdas.batch_job import Job


class JobEvent(Model):
    """A job has succeeded or failed: docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html."""

    model_config = ConfigDict(extra="ignore", strict=False, hide_input_in_errors=True)

    detail: Job


class EndedCaller(Model):
    """An execution of our own workflow ended, however it did."""

    execution_name: Annotated[str, Field(min_length=1)]
    status: str


class CallerEvent(Model):
    """What the rule on our own workflow makes of "Step Functions Execution Status Change"."""

    ended_caller: EndedCaller
