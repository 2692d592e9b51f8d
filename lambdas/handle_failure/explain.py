"""Turn an error, as Step Functions reports it, into one that a person can act on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gaitway.contracts.errors import Failure, is_ours
from gaitway.contracts.limits import JOB_HEARTBEAT_TIMEOUT_SECONDS
from gaitway.contracts.pipeline import ReportedError

if TYPE_CHECKING:
    from gaitway.contracts.run import RunRecord

_TIMEOUTS = {
    "States.HeartbeatTimeout": (
        f"the job gave no sign of progress for {JOB_HEARTBEAT_TIMEOUT_SECONDS // 60} minutes: it never started (no GPU "
        "capacity), died without a report, or stalled. Look at the job and at its log, then start the run "
        "again: it resumes from its newest checkpoint"
    ),
    "States.Timeout": (
        "the run did not end in the time that its caller allows. Start it again to resume from its newest checkpoint, "
        "or use fewer iterations, episodes or environments"
    ),
}

_NOT_OURS = (
    "\nThis is an error of AWS, or of Gaitway itself. Start the run again; should it fail in the same way, look at the "
    "logs of the functions in CloudWatch"
)


def explain(error: ReportedError, record: RunRecord | None) -> Failure:
    """Describe an error.

    Args:
        error: Its name, and its cause: plain text from the job, JSON from a Lambda function.
        record: The run's record, which has its progress.
    """
    if error.error in _TIMEOUTS:
        cause = _TIMEOUTS[error.error] + _standing(record)
    else:
        cause = _message(error) or f"{error.error}, and no cause was given"
    if not is_ours(error.error) and error.error not in _TIMEOUTS:
        cause += _NOT_OURS
    return Failure.reported(error.error, cause + _whereabouts(record))


def _standing(record: RunRecord | None) -> str:
    """Return how far the run was when it was given up."""
    if record is None:
        return ""
    parts = [f"it was {record.state.value}"]
    if record.phase is not None:
        parts.append(f"in its step {record.phase}")
    if record.progress is not None:
        parts.append(f"{record.progress.done} of {record.progress.total} done")
    job = f", job {record.job_id}" if record.job_id is not None else ""
    return f" ({', '.join(parts)}{job})"


def _whereabouts(record: RunRecord | None) -> str:
    """Return where the run's files are, if it has a prefix for them."""
    return f"\nWhat it left: {record.output_files}" if record is not None and record.output_files is not None else ""


def _message(error: ReportedError) -> str:
    """Read the message from the JSON in which Lambda, or FailureNotHandled, wraps an error."""
    try:
        wrapped = json.loads(error.cause)
    except (ValueError, RecursionError):
        return error.cause
    if not isinstance(wrapped, dict):
        return error.cause
    if wrapped.keys() == {"Error", "Cause"}:
        return _message(ReportedError(error=error.error, cause=str(wrapped["Cause"])))
    message = wrapped.get("errorMessage")
    return message if isinstance(message, str) else error.cause
