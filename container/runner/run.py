"""A run's job, from who waits for it to how they are told. What happens between is in `attempt.py`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from container.runner.attempt import Attempt, do
from container.runner.batch_job import BatchJob
from container.runner.budget import Budget
from container.runner.environment import Environment
from container.runner.gpus import GpuSampler, usage_file
from container.runner.heartbeat import Activity, Heartbeat
from container.runner.history import History
from container.runner.launch import simulator_of
from container.runner.machine import read_machine
from container.runner.prepare import SIMULATION_FILE
from container.runner.published import PublishedMetrics
from container.runner.record import RecordWriter
from container.runner.report import Reporter
from container.runner.retry import retrying
from container.runner.salvage import salvage
from container.runner.stop import StopRequest
from container.runner.task_metadata import Task, read_task
from container.runner.tokens import JobTokens
from container.runner.upload import PatientUploader
from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import ArtifactError, Failure, GaitwayError, InterruptedRunError
from gaitway.contracts.history import AttemptHistory
from gaitway.contracts.run import RunRecord, RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_batch import BatchClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)

EXIT_DONE = 0
"""The run succeeded, or nobody waits for it."""
EXIT_FAILED = 10
"""It failed, and the inner machine was told: the job definition's retry strategy ends the job on this code alone."""
EXIT_ATTEMPT_AGAIN = 11
"""It can go on where it stood: nobody was told, since Batch attempts the job again."""


@dataclass(frozen=True)
class Clients:
    """The AWS clients of the job's role."""

    s3: S3Client
    dynamodb: DynamoDBClient
    stepfunctions: SFNClient
    batch: BatchClient
    cloudwatch: CloudWatchClient


def run(run_id: str, command: Sequence[str], environment: Environment, clients: Clients, stop: StopRequest) -> int:
    """Do a run's whole job, and tell the inner machine how it ended.

    Args:
        run_id: The run.
        command: Starts the simulator, the Python interpreter first; the name of its file is added.
        environment: Where everything is.
        clients: The job role's.
        stop: How a signal asks the run to end.

    Returns:
        Exit code.
    """
    began_at = datetime.now(UTC)
    table = RunTable(clients.dynamodb, environment.run_table)
    record = retrying(AWS_ERRORS, stop.sleep)(table.get, run_id)
    if record is None or record.state.ended or record.job_id not in (None, environment.job_id):
        logger.warning("%s: nothing to do, the run has ended or has another job", run_id)
        return EXIT_DONE
    tokens = JobTokens(run_id, record.execution_arn, table)
    task_tokens = TaskTokens(clients.stepfunctions)
    activity = Activity()
    heartbeat = Heartbeat(tokens, task_tokens, activity, stop, environment.heartbeat_seconds)
    if not retrying(AWS_ERRORS, stop.sleep)(heartbeat.is_awaited, stop.sleep):
        logger.warning("%s: nothing to do, nobody waits for this run", run_id)
        return EXIT_DONE
    reporter = Reporter(tokens, task_tokens)
    if record.spec is None:
        reporter.fail(Failure.of(ArtifactError("the run's record holds no specification: was it constructed?")))
        return EXIT_FAILED

    spec, task = record.spec, read_task(environment.task_metadata)
    begun = _begun(record, spec.compute.num_nodes, environment, task, began_at)
    directory = run_directory(environment.efs_root, run_id)
    history = History(directory, record.created_at, begun, record.cost)
    gpus = GpuSampler(usage_file(directory, 0), 0)
    attempt = Attempt(
        spec=spec,
        number=begun.number,
        machine=begun.machine,
        started_at=record.started_at or began_at,
        command=(*command, SIMULATION_FILE),
        simulator=simulator_of(command, spec.compute.gpus_per_node, environment, stop),
        exit_allowance_seconds=environment.exit_allowance_seconds,
        efs_root=environment.efs_root,
        image=task.image,
        s3=clients.s3,
        stop=stop,
        activity=activity,
        record=RecordWriter(run_id, record.execution_arn, table, lambda: history.cost),
        history=history,
        budget=Budget(spec.compute.max_cost_usd, lambda: history.cost),
        gpus=gpus,
        published=PublishedMetrics(run_id, clients.cloudwatch, lambda: history.attempt_cost, gpus.take_load),
        uploader=PatientUploader(clients.s3, spec.output_files, stop, on_upload=activity.note),
    )
    if not _begin(attempt, record, environment, table):
        logger.warning("%s: nothing to do, the run has ended or belongs to another execution", run_id)
        return EXIT_DONE
    with ExitStack() as held:
        try:
            with heartbeat, attempt.record, attempt.published:
                result = do(attempt, held)
        except Exception as error:
            _log_failure(run_id, error)
            failure = Failure.of(error)
            if _is_attempted_again(error, failure, activity, BatchJob(environment, clients.batch)):
                logger.warning("%s: nobody is told, since another attempt follows", run_id)
                salvage(attempt, failure=None)
                _announce_next_attempt(run_id, record, heartbeat, table)
                return EXIT_ATTEMPT_AGAIN
            salvage(attempt, failure)
            # Whoever is told looks at the directory, too, and has the last word there.
            held.close()
            reporter.fail(failure)
            return EXIT_FAILED
    reporter.succeed(result)
    logger.info("%s succeeded: %s", run_id, result.manifest)
    return EXIT_DONE


def _begun(record: RunRecord, num_nodes: int, environment: Environment, task: Task, at: datetime) -> AttemptHistory:
    """Describe the attempt as it begins."""
    return AttemptHistory(
        number=(record.attempts or 0) + 1,
        machine=read_machine(environment.machine_file, num_nodes, environment.instance_prices),
        image_pull_began_at=task.pull_started_at,
        image_pull_ended_at=task.pull_stopped_at,
        began_at=at,
        last_seen_at=at,
    )


def _begin(attempt: Attempt, record: RunRecord, environment: Environment, table: RunTable) -> bool:
    """Write down that the attempt begins; False where the run has ended or gone to another execution."""
    # At once, and not by the record's writer: an attempt that is killed in its first second counts, too.
    return retrying(AWS_ERRORS, attempt.stop.sleep)(
        table.update,
        record.run_id,
        of_execution=record.execution_arn,
        state=RunState.RUNNING,
        attempt=environment.attempt,
        attempts=attempt.number,
        job_id=environment.job_id,
        started_at=attempt.started_at,
        machine=attempt.machine,
        progress=None,
    )


def _is_attempted_again(error: Exception, failure: Failure, activity: Activity, job: BatchJob) -> bool:
    """Tell whether this failure is left to Batch's next attempt, which goes on from the newest checkpoint.

    A simulation that fails before it has done anything would do so again: its caller is told at once.
    """
    if isinstance(error, InterruptedRunError):
        return job.is_attempted_again_after_stop()
    return failure.retryable and activity.simulation_began and job.may_be_attempted_again


def _announce_next_attempt(run_id: str, record: RunRecord, heartbeat: Heartbeat, table: RunTable) -> None:
    """Leave as much time as there is until the next attempt has a machine."""
    try:
        heartbeat.beat()
        table.update(run_id, of_execution=record.execution_arn, state=RunState.QUEUED, phase=None)
    except (ClientError, BotoCoreError) as error:
        logger.warning("the next attempt could not be announced: %s", error)


def _log_failure(run_id: str, error: Exception) -> None:
    """Log an expected failure in a line, and one that nobody foresaw with its traceback."""
    unexpected = None if isinstance(error, GaitwayError) else error
    # Only the first line: what follows is the simulator's output, which the log holds already.
    summary = str(error).partition("\n")[0]
    logger.error("%s failed: %s: %s", run_id, type(error).__name__, summary, exc_info=unexpected)
