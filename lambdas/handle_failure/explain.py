"""Turn an error, as Step Functions reports it, into one that a person can act on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gaitway.contracts.errors import Failure
from gaitway.contracts.run import HEARTBEAT_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from gaitway.contracts.pipeline import ReportedError
    from gaitway.contracts.run import RunRecord

_TIMEOUTS = {
    "States.HeartbeatTimeout": (
        f"the job gave no sign of progress for {HEARTBEAT_TIMEOUT_SECONDS // 60} minutes: it never started (no GPU "
        "capacity), died without a word, or stalled. Look at the job in AWS Batch and at its log, then start the run "
        "again: it goes on where it stood"
    ),
    "States.Timeout": (
        "the run did not end in the time that its caller allows. Start it again to go on where it stood, or ask for "
        "fewer iterations, episodes or environments"
    ),
}


def explain(error: ReportedError, record: RunRecord | None) -> Failure:
    """Describe an error.

    Args:
        error: Its name, and its cause: plain text from the job, JSON from a Lambda function.
        record: The run's record, which tells how far the run came.
    """
    if error.error in _TIMEOUTS:
        return Failure.reported(error.error, _TIMEOUTS[error.error] + _standing(record))
    return Failure.reported(error.error, _message(error) or f"{error.error}, without a word about its cause")


def _standing(record: RunRecord | None) -> str:
    """Say where the run was when it was given up."""
    if record is None:
        return ""
    parts = [f"it was {record.state.value}"]
    if record.phase is not None:
        parts.append(f"in its step {record.phase}")
    if record.progress is not None:
        parts.append(f"{record.progress.done} of {record.progress.total} done")
    job = f", job {record.job_id}" if record.job_id is not None else ""
    return f" ({', '.join(parts)}{job})"


def _message(error: ReportedError) -> str:
    """Read the message out of the JSON in which Lambda wraps an exception."""
    try:
        wrapped = json.loads(error.cause)
    except (ValueError, RecursionError):
        return error.cause
    message = wrapped.get("errorMessage") if isinstance(wrapped, dict) else None
    return message if isinstance(message, str) else error.cause
