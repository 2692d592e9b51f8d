"""What a run needs, from its record and its job."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from gaitway.compute.jobs import Job
from gaitway.contracts.limits import QUIET_SECONDS
from gaitway.contracts.run import RunRecord


class Need(Enum):
    """What a run needs."""

    NOTHING = auto()
    """Its runner, or a function that is running now, is responsible for it."""
    HEARTBEAT = auto()
    """Its job waits for a machine, and cannot send heartbeats."""
    JOB_IS_OVER = auto()
    """Its job ended without a report."""
    JOB_IS_GONE = auto()
    """Its job is not known any more."""
    EXECUTION = auto()
    """It has no job: its execution must be active."""


def decide(record: RunRecord, job: Job | None, now: datetime) -> Need:
    """Decide what an active run needs.

    Args:
        record: Its record.
        job: The job in the record; None if there is none, or if it is not known any more.
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
