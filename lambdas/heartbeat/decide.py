"""What a run needs, by how its record and its job stand."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from gaitway.contracts.run import RunRecord
from lambdas.batch_job import Job

QUIET_SECONDS = 120.0
"""Before a job or an execution is missed: until then whoever ends a run, or starts its job, may still be at it."""


class Need(Enum):
    """What a run needs."""

    NOTHING = auto()
    """Its runner, or somebody who is at it right now, looks after it."""
    HEARTBEAT = auto()
    """Its job waits for a machine, and can say nothing."""
    JOB_IS_OVER = auto()
    """Its job ended, and told nobody."""
    JOB_IS_GONE = auto()
    """Batch does not know its job any more."""
    EXECUTION = auto()
    """It has no job: its execution must be at work on it."""


def decide(record: RunRecord, job: Job | None, now: datetime) -> Need:
    """Decide what a run that goes on needs.

    Args:
        record: Its record.
        job: The job that the record names; None where it names none, or where Batch does not know it.
        now: The current time.
    """
    is_quiet = (now - record.updated_at).total_seconds() > QUIET_SECONDS
    if job is not None and job.waits:
        return Need.HEARTBEAT
    if job is not None and job.has_ended:
        return Need.JOB_IS_OVER if job.ended_seconds_ago(now) > QUIET_SECONDS else Need.NOTHING
    if job is not None or not is_quiet:
        return Need.NOTHING
    return Need.EXECUTION if record.job_id is None else Need.JOB_IS_GONE
