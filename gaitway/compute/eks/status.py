"""What the status of a PyTorchJob says: its state, and why it ended, in the Training Operator's words.

The operator's conditions and messages: github.com/kubeflow/training-operator/blob/v1.9.3/pkg/util/status.go,
.../pkg/controller.v1/common/job.go and .../pkg/controller.v1/pytorch/pytorchjob_controller.go.
"""

from __future__ import annotations

import re
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gaitway.compute import ends
from gaitway.compute.ends import End
from gaitway.compute.jobs import JobState

_BY_MESSAGE: tuple[tuple[re.Pattern[str], End], ...] = (
    (re.compile(r"active longer than specified deadline"), ends.TIME_IS_OVER),
    (re.compile(r"reached the specified backoff limit"), ends.TOO_MANY_RESTARTS),
)
"""The messages with which the operator fails a job."""
_MARGIN = 10.0
"""Seconds by which the clocks of a pod and of the operator may differ."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Metadata(_Part):
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None


class _Condition(_Part):
    type: str
    status: str
    message: str = ""


class _Status(_Part):
    conditions: list[_Condition] | None = None
    completion_time: AwareDatetime | None = None
    start_time: AwareDatetime | None = None


class _RunPolicy(_Part):
    suspend: bool | None = None
    active_deadline_seconds: int | None = None


class _Spec(_Part):
    run_policy: _RunPolicy = Field(default_factory=_RunPolicy)


class PyTorchJob(_Part):
    """A PyTorchJob, as far as it is read here."""

    metadata: _Metadata
    spec: _Spec = Field(default_factory=_Spec)
    status: _Status = Field(default_factory=_Status)

    @property
    def is_suspended(self) -> bool:
        """Whether Kueue has not admitted it, or has taken its machines for another job."""
        return bool(self.spec.run_policy.suspend)

    def is_over(self, now: datetime) -> bool:
        """Whether nothing of it runs again: it has ended, it is deleted, or its time is over."""
        start, seconds = self.status.start_time, self.spec.run_policy.active_deadline_seconds
        is_late = start is not None and seconds is not None and (now - start).total_seconds() >= seconds - _MARGIN
        return self.metadata.deletion_timestamp is not None or self.state.is_final or is_late

    @property
    def state(self) -> JobState:
        """Its state. A job whose containers restart still runs: its next attempt follows."""
        if self._is("Failed"):
            return JobState.FAILED
        if self._is("Succeeded"):
            return JobState.SUCCEEDED
        if self.is_suspended:
            return JobState.WAITING
        return JobState.RUNNING if self._is("Running") or self._is("Restarting") else JobState.WAITING

    @property
    def reason(self) -> str:
        """The operator's message about its end; empty if it has not failed."""
        condition = self._condition("Failed")
        return condition.message if condition is not None and condition.status == "True" else ""

    @property
    def end(self) -> End | None:
        """Why it ended, if the message says so."""
        return next((end for pattern, end in _BY_MESSAGE if pattern.search(self.reason)), None)

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return self.metadata.creation_timestamp

    @property
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return self.status.completion_time

    def _is(self, kind: str) -> bool:
        condition = self._condition(kind)
        return condition is not None and condition.status == "True"

    def _condition(self, kind: str) -> _Condition | None:
        return next((one for one in self.status.conditions or () if one.type == kind), None)
