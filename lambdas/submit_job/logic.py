"""Make sure that a run has exactly one active job, and that the job knows which token to answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gaitway.compute.jobs import JobRequest
from gaitway.contracts.errors import RunRefusedError
from gaitway.contracts.limits import JOB_PATIENCE_SECONDS
from gaitway.contracts.run import RunState
from lambdas.observability import logger

if TYPE_CHECKING:
    from datetime import datetime

    from gaitway.aws.run_table import RunTable
    from gaitway.compute.jobs import Submitter
    from gaitway.contracts.pipeline import SubmitJobEvent
    from gaitway.contracts.run import RunSpec

_POLL_SECONDS = 0.2


class SubmitJob:
    """The submit_job function.

    Args:
        runs: The run table.
        jobs: The deployment's jobs.
    """

    def __init__(self, runs: RunTable, jobs: Submitter) -> None:
        self._runs = runs
        self._jobs = jobs

    def handle(self, event: SubmitJobEvent) -> None:
        """Submit the run's job, or let the active one answer the new token.

        Raises:
            RunRefusedError: The run has ended, or belongs to another execution.
        """
        record = self._runs.get(event.run_id)
        if record is not None and record.job_id is not None:
            if self._runs.tokens(event.run_id).inner == event.task_token:
                return  # a repeated call: the job was submitted for this token, whatever happened to it since
            job = self._jobs.get(record.job_id)
            if job is None or job.has_ended:
                # Before the token is kept, so that a repeated call does not take the dead job for its own.
                self._runs.update(
                    event.run_id, of_execution=event.execution_arn, where={"job_id": record.job_id}, job_id=None
                )
        if record is None or not self._runs.give_token(event.run_id, event.execution_arn, "inner", event.task_token):
            raise _refusal(event)
        if record.spec is None:
            raise RunRefusedError(f"{event.run_id} has no specification: ConstructRun writes it first")
        while (claim := self._claim(event)) is not None:
            if self._submit(event, record.spec, claim):
                return

    def _claim(self, event: SubmitJobEvent) -> datetime | None:
        """Claim the right to submit the run's job; None if it has a job, which another call may just have submitted."""
        give_up_at = time.monotonic() + JOB_PATIENCE_SECONDS
        while (claim := self._runs.claim_job(event.run_id, event.execution_arn)) is None:
            record = self._runs.get(event.run_id)
            if record is None or record.state.ended or record.execution_arn != event.execution_arn:
                raise _refusal(event)
            if record.job_id is not None:
                return None
            if time.monotonic() >= give_up_at:
                raise RuntimeError(f"{event.run_id}: other calls are submitting its job, and none of them has finished")
            time.sleep(_POLL_SECONDS)
        return claim

    def _submit(self, event: SubmitJobEvent, spec: RunSpec, claim: datetime) -> bool:
        """Find or submit the run's job; False if another call has taken over the claim meanwhile."""
        is_mine = {"job_claimed_at": claim}
        # A job of this name was submitted by a call of this execution that was cut off, and not for an execution that
        # this one has replaced, whose job may still be ending.
        name = event.execution.job_name
        job_id = self._jobs.find_living(name, spec.compute)
        if job_id is None:
            # Before the job exists: the job itself records that it runs.
            if not self._runs.update(
                event.run_id, of_execution=event.execution_arn, where=is_mine, state=RunState.QUEUED
            ):
                return False
            job_id = self._jobs.submit(
                JobRequest(
                    name=name,
                    run_id=event.run_id,
                    simulator=spec.simulator,
                    compute=spec.compute,
                    timeout_seconds=event.timeout_seconds,
                    task=spec.training.task,
                    group_id=spec.group_id,
                )
            )
        logger.info("%s: job %s", event.run_id, job_id)
        # A job that is not recorded ends by itself; if it still waits, the heartbeat function ends it.
        return self._runs.update(
            event.run_id, of_execution=event.execution_arn, where=is_mine, job_id=job_id, job_claimed_at=None
        )


def _refusal(event: SubmitJobEvent) -> RunRefusedError:
    return RunRefusedError(f"{event.run_id} has ended, or was restarted by another execution")
