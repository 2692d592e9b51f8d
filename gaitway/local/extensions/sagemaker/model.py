"""A training job as SageMaker describes it.

docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.local.services import Json

ENDED = ("Completed", "Failed", "Stopped")


@dataclass
class TrainingJob:
    """One training job. Times are in seconds since the epoch."""

    request: Json
    status: str = "InProgress"
    transitions: list[Json] = field(default_factory=list)
    failure_reason: str | None = None
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    ended_at: float | None = None
    billable_seconds: float = 0.0

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.request["TrainingJobName"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return training_job_arn(self.name)

    @property
    def hosts(self) -> list[str]:
        """Names of its hosts, as SageMaker gives them."""
        return [f"algo-{number + 1}" for number in range(self.request["ResourceConfig"]["InstanceCount"])]

    @property
    def is_spot(self) -> bool:
        """Whether it runs on Spot instances."""
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def has_ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ENDED

    @property
    def secondary_status(self) -> str:
        """What it does."""
        return str(self.transitions[-1]["Status"]) if self.transitions else "Starting"

    @property
    def message(self) -> str:
        """The newest message about it."""
        return str(self.transitions[-1]["StatusMessage"]) if self.transitions else ""

    def move(self, secondary: str, message: str, status: str | None = None) -> None:
        """Bring it into another state."""
        now = time.time()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
        self.status = status or self.status
        if self.has_ended:
            self.ended_at = now
            self.transitions[-1]["EndTime"] = now

    def to_aws(self) -> Json:
        """Describe it."""
        given = {name: value for name, value in self.request.items() if name != "Tags"}
        described = given | {
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary_status,
            "SecondaryStatusTransitions": self.transitions,
            "CreationTime": self.created_at,
            "LastModifiedTime": self.transitions[-1]["StartTime"] if self.transitions else self.created_at,
            "EnableManagedSpotTraining": self.is_spot,
            "FailureReason": self.failure_reason,
            "TrainingStartTime": self.started_at,
            "TrainingEndTime": self.ended_at,
        }
        if self.ended_at is not None:
            described["TrainingTimeInSeconds"] = int(self.ended_at - (self.started_at or self.ended_at))
            described["BillableTimeInSeconds"] = int(self.billable_seconds)
        described["WarmPoolStatus"] = self._warm_pool()
        return {name: value for name, value in described.items() if value is not None}

    def _warm_pool(self) -> Json | None:
        """Describe the instances that are kept for the next job. Here none takes them over: each starts anew.

        docs.aws.amazon.com/sagemaker/latest/APIReference/API_WarmPoolStatus.html. They are kept after a job that has
        completed, was stopped, or has failed by its own or its client's error, but not after another one:
        docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
        """
        keep_seconds = self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds")
        if not keep_seconds:
            return None
        if self.ended_at is None:
            return {"Status": "InUse"}
        kept = min(time.time() - self.ended_at, keep_seconds)
        is_lost = (self.failure_reason or "").startswith("InternalServerError")
        if is_lost or self.started_at is None or kept >= keep_seconds:
            return {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": int(kept)}
        return {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": int(kept)}

    def to_state(self) -> Json:
        """Return everything, to be saved."""
        return dict(vars(self))


def training_job_arn(name: str) -> str:
    """Return the ARN of a training job."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/{name}"
