"""What EventBridge sends to job_state."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gaitway.contracts.model import Model


class EndedCaller(Model):
    """An execution of our own workflow ended, however it did."""

    execution_name: Annotated[str, Field(min_length=1)]
    status: str


class CallerEvent(Model):
    """The event that the rule on our own workflow makes from "Step Functions Execution Status Change"."""

    ended_caller: EndedCaller
