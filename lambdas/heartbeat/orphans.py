"""End jobs that no run waits for, before they occupy a machine for nothing.

They are rare: a function was cut off between submitting a job and recording it, or the back end could not be reached to
stop a run's job.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime
from typing import TYPE_CHECKING

from gaitway.compute.jobs import Job, Jobs
from gaitway.contracts.limits import QUIET_SECONDS
from gaitway.contracts.run import run_id_of_job
from lambdas.observability import logger

if TYPE_CHECKING:
    from gaitway.aws.run_table import RunTable

_REASON = "no run waits for this job: its run has ended, or has another job"


class Orphans:
    """Jobs without a run.

    Args:
        runs: The run table.
        jobs: The deployment's jobs.
        clock: The current time.
    """

    def __init__(self, runs: RunTable, jobs: Jobs, clock: Callable[[], datetime]) -> None:
        self._runs = runs
        self._jobs = jobs
        self._clock = clock

    def end(self, awaited: Set[str]) -> list[str]:
        """End them.

        Args:
            awaited: Ids of jobs that runs wait for.

        Returns:
            The ids of those that were ended.
        """
        ended = [job.id for job in self._jobs.living() if job.id not in awaited and self._is_orphan(job)]
        for job_id in ended:
            logger.warning("job %s is ended: %s", job_id, _REASON)
            self._jobs.stop(job_id, _REASON)
        return ended

    def _is_orphan(self, job: Job) -> bool:
        """Return whether no run waits for a job, and no function that is running now will make one wait."""
        run_id = run_id_of_job(job.name)
        record = self._runs.get(run_id) if run_id is not None else None
        # If the run is not known, the runner knows what to do.
        if record is None:
            return False
        # A run that has just ended is recorded before its job ends: the job ends by itself, or is about to be stopped.
        is_awaited = record.awaits(job.id, job.name)
        return not is_awaited and (self._clock() - record.updated_at).total_seconds() > QUIET_SECONDS
