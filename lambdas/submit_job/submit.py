"""See to it that a run has exactly one living job, and that the job knows whom to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.contracts.errors import RunRefusedError
from gaitway.contracts.run import RunState
from lambdas.observability import logger

if TYPE_CHECKING:
    from gaitway.aws.run_table import RunTable
    from gaitway.contracts.pipeline import SubmitJobEvent
    from gaitway.contracts.request import ComputeConfig
    from lambdas.submit_job.jobs import Jobs


class SubmitJob:
    """The submit_job function.

    Args:
        runs: The run table.
        jobs: AWS Batch.
    """

    def __init__(self, runs: RunTable, jobs: Jobs) -> None:
        self._runs = runs
        self._jobs = jobs

    def handle(self, event: SubmitJobEvent) -> None:
        """Submit the run's job, or let the one that lives answer the new token.

        Raises:
            RunRefusedError: The run has ended, or belongs to another execution.
        """
        record = self._runs.get(event.run_id)
        if record is not None and record.job_id is not None:
            if self._runs.tokens(event.run_id).inner == event.task_token:
                return  # a call that is repeated: the job was submitted for this token, whatever became of it since
            if not self._jobs.lives(record.job_id):
                # Before the token is kept, so that a repeated call does not take the dead job for its own.
                self._runs.update(event.run_id, of_execution=event.execution_arn, job_id=None)
                record = record.model_copy(update={"job_id": None})
        if record is None or not self._runs.give_token(event.run_id, event.execution_arn, "inner", event.task_token):
            raise RunRefusedError(f"{event.run_id} has ended, or was begun anew by another execution")
        if record.job_id is None:
            if record.spec is None:
                raise RunRefusedError(f"{event.run_id} has no specification: ConstructRun writes it first")
            self._submit(event, record.spec.compute)

    def _submit(self, event: SubmitJobEvent, compute: ComputeConfig) -> None:
        # The execution's own name: a job that bears it was submitted by a call of this execution that was cut off, and
        # not for an execution that this one has replaced, whose job may still be ending.
        name = event.execution_arn.rpartition(":")[2]
        job_id = self._jobs.find_living(name, compute)
        if job_id is None:
            # Before the job is there, which writes down itself that it runs.
            if not self._runs.update(event.run_id, of_execution=event.execution_arn, state=RunState.QUEUED):
                raise RunRefusedError(f"{event.run_id} has ended, or was begun anew, while its job was looked for")
            job_id = self._jobs.submit(name, event.run_id, compute, event.timeout_seconds)
        logger.info("%s: job %s", event.run_id, job_id)
        self._runs.update(event.run_id, of_execution=event.execution_arn, job_id=job_id)
