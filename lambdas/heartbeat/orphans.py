"""End jobs that no run waits for, before they take a machine for nothing, or go on using one.

They are rare: a function was cut off between submitting a job and writing that down, or Batch could not be reached when
a run's job was to be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from datetime import datetime
from typing import TYPE_CHECKING

from lambdas.batch_job import LIVING, Job, run_id_of_job
from lambdas.heartbeat.decide import QUIET_SECONDS
from lambdas.observability import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_batch import BatchClient

    from gaitway.aws.run_table import RunTable

_REASON = "no run waits for this job: its run has ended, or has another job"


class Orphans:
    """Jobs without a run.

    Args:
        runs: The run table.
        batch: A Batch client.
        job_queues: ARNs of the queues whose jobs are ours.
        clock: The current time.
    """

    def __init__(
        self, runs: RunTable, batch: BatchClient, job_queues: Sequence[str], clock: Callable[[], datetime]
    ) -> None:
        self._runs = runs
        self._batch = batch
        self._job_queues = job_queues
        self._clock = clock

    def end(self, awaited: Set[str]) -> list[str]:
        """End them.

        Args:
            awaited: Ids of jobs that runs wait for.

        Returns:
            The ids of those that were ended.
        """
        ended = [job.job_id for job in self._living() if job.job_id not in awaited and self._is_orphan(job)]
        for job_id in ended:
            logger.warning("job %s is ended: %s", job_id, _REASON)
            self._batch.terminate_job(jobId=job_id, reason=_REASON)
        return ended

    def _living(self) -> Iterator[Job]:
        pages = self._batch.get_paginator("list_jobs")
        for queue in self._job_queues:
            for status in LIVING:
                for page in pages.paginate(jobQueue=queue, jobStatus=status):
                    yield from map(Job.model_validate, page["jobSummaryList"])

    def _is_orphan(self, job: Job) -> bool:
        """Tell whether nobody waits for a job, and nobody who is at work right now will."""
        run_id = run_id_of_job(job.job_name)
        record = self._runs.get(run_id) if run_id is not None else None
        # Of a run that nobody knows, the runner knows what to do.
        if record is None:
            return False
        is_its_job = (
            not record.state.ended
            and (record.execution_arn or "").rpartition(":")[2] == job.job_name
            and record.job_id in (None, job.job_id)
        )
        # A run that has just ended is told before its job is: the job ends by itself, or is about to be stopped.
        return not is_its_job and (self._clock() - record.updated_at).total_seconds() > QUIET_SECONDS
