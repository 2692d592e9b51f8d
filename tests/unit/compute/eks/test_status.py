"""A PyTorchJob's state, and why it ended, as the operator says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gaitway.compute import ends
from gaitway.compute.eks.status import PyTorchJob
from gaitway.compute.jobs import JobState

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def job(*conditions: str, message: str = "", suspend: bool = False, **metadata: Any) -> PyTorchJob:
    """Make a job; a condition that begins with `-` is false."""
    return PyTorchJob.model_validate(
        {
            "metadata": {"name": "a", "creationTimestamp": "2026-11-27T10:00:00Z"} | metadata,
            "spec": {"runPolicy": {"suspend": suspend, "activeDeadlineSeconds": 3600}},
            "status": {
                "startTime": "2026-11-27T11:30:00Z",
                "conditions": [
                    {"type": one.lstrip("-"), "status": "False" if one.startswith("-") else "True", "message": message}
                    for one in conditions
                ],
            },
        }
    )


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (PyTorchJob.model_validate({"metadata": {"name": "a"}}), JobState.WAITING),
        (job("Created"), JobState.WAITING),
        (job("Created", "Suspended", suspend=True), JobState.WAITING),
        (job("Created", "-Suspended", "Running"), JobState.RUNNING),
        (job("Created", "Restarting"), JobState.RUNNING),
        # Kueue takes its machines for another job.
        (job("Created", "-Running", "Suspended", suspend=True), JobState.WAITING),
        (job("Created", "-Running", "Succeeded"), JobState.SUCCEEDED),
        (job("Created", "-Running", "Failed"), JobState.FAILED),
    ],
)
def test_the_conditions_give_the_state(found: PyTorchJob, state: JobState) -> None:
    assert found.state is state


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ("Job a has failed because it has reached the specified backoff limit", ends.TOO_MANY_RESTARTS),
        ("Job a has failed because it was active longer than specified deadline", ends.TIME_IS_OVER),
        ("PyTorchJob a is failed because 1 Master replica(s) failed.", None),
    ],
)
def test_the_message_gives_the_end(message: str, end: ends.End | None) -> None:
    found = job("Failed", message=message)
    assert (found.end, found.reason) == (end, message)


def test_a_job_goes_on_until_it_has_ended_is_deleted_or_late() -> None:
    assert not job("Running").is_over(NOW)
    assert not job("Suspended", suspend=True).is_over(NOW)
    assert job("Failed").is_over(NOW)
    assert job("Running", deletionTimestamp="2026-11-27T11:59:00Z").is_over(NOW)
    assert job("Running").is_over(NOW + timedelta(seconds=1795))
