"""What AWS Batch does with this job after this attempt."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from container.runner.environment import Environment

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_batch.type_defs import JobDetailTypeDef

logger = logging.getLogger(__name__)

_TIMEOUT_MARGIN_SECONDS = 10.0
"""Batch never ends a job before its time; the clocks of the two may differ."""


class BatchJob:
    """This job.

    Args:
        environment: Says which job, and which of its attempts this is.
        batch: A Batch client that gives up early: an interrupted job has seconds.
    """

    def __init__(self, environment: Environment, batch: BatchClient) -> None:
        self._environment = environment
        self._batch = batch

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether Batch retries this attempt if it fails by itself."""
        return not self._environment.is_last_attempt

    def is_attempted_again_after_stop(self) -> bool:
        """Tell, once the job was told to stop, whether Batch will attempt it again.

        It does where the machine is taken away, as by a Spot reclaim; not where somebody ended the job, or its time is
        over: docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html. The signal is the same, so Batch is asked;
        without an answer the job counts as ended, and its caller is told.
        """
        if self._environment.is_last_attempt:
            return False
        try:
            jobs = self._batch.describe_jobs(jobs=[self._environment.job_id])["jobs"]
        except (ClientError, BotoCoreError) as error:
            logger.warning("AWS Batch does not tell why the job was told to stop: %s", error)
            return False
        return bool(jobs) and not _is_ended(jobs[0])


def _is_ended(job: JobDetailTypeDef) -> bool:
    if job.get("isTerminated") or job.get("isCancelled"):
        return True
    timeout_seconds = job.get("timeout", {}).get("attemptDurationSeconds")
    started_at_ms = job.get("startedAt")
    if timeout_seconds is None or started_at_ms is None:
        return False
    return time.time() - started_at_ms / 1000 >= timeout_seconds - _TIMEOUT_MARGIN_SECONDS
