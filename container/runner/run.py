"""A run, from its first step to its last."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from container.runner.checkpoint_uploads import CheckpointUploads
from container.runner.environment import Environment
from container.runner.heartbeat import Activity, Heartbeat
from container.runner.judge import is_complete, judge_evaluation, judge_exit, judge_training
from container.runner.observe import Observer
from container.runner.outputs import outputs
from container.runner.prepare import prepare
from container.runner.record import RecordWriter
from container.runner.report import Reporter
from container.runner.results import write_config, write_json, write_results
from container.runner.retry import AWS_ERRORS, retrying
from container.runner.simulate import SimulatorExit, simulate
from container.runner.stop import StopRequest
from container.runner.tokens import JobTokens
from container.runner.upload import Uploader
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.artifacts import CHECKPOINTS, MANIFEST, METRICS, TrainingSummary, run_directory
from gaitway.contracts.errors import ArtifactError, Failure, GaitwayError
from gaitway.contracts.run import JobResult, Progress, RunSpec, RunState
from gaitway.contracts.simulation import EvaluationSummary

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)

_SALVAGE_SECONDS = 10.0
"""AWS Batch ends a job 30 seconds after its SIGTERM; the simulator's own end takes up to 10 of them."""


@dataclass(frozen=True)
class Clients:
    """The AWS clients of the job's role."""

    s3: S3Client
    dynamodb: DynamoDBClient
    stepfunctions: SFNClient


@dataclass(frozen=True)
class Attempt:
    """This attempt at a run, and what its steps share."""

    spec: RunSpec
    number: int
    started_at: datetime
    """When the first attempt began."""
    simulator: Sequence[str]
    """Command line that starts the simulator."""
    efs_root: Path
    s3: S3Client
    stop: StopRequest
    activity: Activity
    record: RecordWriter
    uploader: Uploader

    def enter(self, phase: str) -> None:
        """Begin a step, unless the run is to stop."""
        self.stop.check()
        logger.info("%s: %s", self.spec.run_id, phase)
        self.activity.note()
        self.record.note(phase=phase)


def run(run_id: str, simulator: Sequence[str], environment: Environment, clients: Clients, stop: StopRequest) -> int:
    """Do a run's whole job, and tell the inner machine how it ended.

    Args:
        run_id: The run.
        simulator: Command line that starts the simulator; the name of its file is added.
        environment: Where everything is.
        clients: The job role's.
        stop: How a signal asks the run to end.

    Returns:
        Exit code: 0 when the run succeeded, or when nobody waits for it and nothing was done; 1 when it failed.
    """
    table = RunTable(clients.dynamodb, environment.run_table)
    record = retrying(AWS_ERRORS, stop.sleep)(table.get, run_id)
    if record is None or record.state.ended or record.job_id not in (None, environment.job_id):
        logger.warning("%s: nothing to do, the run has ended or has another job", run_id)
        return 0
    tokens = JobTokens(run_id, record.execution_arn, table)
    task_tokens = TaskTokens(clients.stepfunctions)
    activity = Activity()
    heartbeat = Heartbeat(tokens, task_tokens, activity, stop, environment.heartbeat_seconds)
    if not retrying(AWS_ERRORS, stop.sleep)(heartbeat.is_awaited, stop.sleep):
        logger.warning("%s: nothing to do, nobody waits for this run", run_id)
        return 0
    reporter = Reporter(tokens, task_tokens)
    if record.spec is None:
        reporter.fail(Failure.of(ArtifactError("the run's record holds no specification: was it constructed?")))
        return 1

    attempt = Attempt(
        spec=record.spec,
        number=environment.attempt,
        started_at=record.started_at or datetime.now(UTC),
        simulator=simulator,
        efs_root=environment.efs_root,
        s3=clients.s3,
        stop=stop,
        activity=activity,
        record=RecordWriter(run_id, record.execution_arn, table),
        uploader=Uploader(clients.s3, record.spec.output_files, stop, on_upload=activity.note),
    )
    attempt.record.note(
        state=RunState.RUNNING,
        attempt=attempt.number,
        job_id=environment.job_id,
        started_at=attempt.started_at,
        progress=None,
    )
    try:
        with heartbeat, attempt.record:
            result = _do(attempt)
    except Exception as error:
        _log_failure(run_id, error)
        failure = Failure.of(error)
        _salvage(attempt, failure)
        reporter.fail(failure)
        return 1
    reporter.succeed(result)
    logger.info("%s succeeded: %s", run_id, result.manifest)
    return 0


def _do(attempt: Attempt) -> JobResult:
    """Go through the steps of a run in their order."""
    spec = attempt.spec

    attempt.enter("prepare")
    directory = prepare(spec, attempt.efs_root, attempt.s3, attempt.stop)
    write_config(directory, spec)

    attempt.enter("simulate")
    end = _simulate(attempt, directory)

    attempt.enter("judge")
    outcome = _judge(spec, directory, end)
    write_results(directory, spec, attempts=attempt.number, started_at=attempt.started_at, outcome=outcome)

    attempt.enter("upload")
    for name, path in outputs(directory, spec.training.mode):
        attempt.stop.check()
        attempt.uploader.upload(name, path)
    # Last: what the manifest does not list is no part of the results.
    write_json(directory / MANIFEST, attempt.uploader.manifest(spec.run_id))
    attempt.uploader.upload(MANIFEST, directory / MANIFEST)

    attempt.enter("report")
    return JobResult(run_id=spec.run_id, manifest=spec.output_files / MANIFEST)


def _simulate(attempt: Attempt, directory: Path) -> SimulatorExit:
    """Run the simulator while its progress is written down and its checkpoints are uploaded."""
    training = attempt.spec.training

    def on_progress(progress: Progress) -> None:
        attempt.activity.note_simulated()
        attempt.record.note(progress=progress)

    def is_done() -> bool:
        return observer.is_complete and is_complete(directory, training)

    observer = Observer(training, on_progress)
    with CheckpointUploads(directory, attempt.uploader):
        return simulate(attempt.simulator, directory, attempt.stop, observer.read_line, is_done)


def _judge(spec: RunSpec, directory: Path, end: SimulatorExit) -> TrainingSummary | EvaluationSummary:
    """Read what the simulator left, and decide whether that is what was asked for."""
    # pandas takes half a second to import, in which the simulator can start already.
    from container.runner.metrics import read_metrics, summarise

    judge_exit(end)
    training = spec.training
    if training.mode == "evaluate":
        return judge_evaluation(directory, training, end)
    metrics = read_metrics(directory, training.rl_library)
    metrics.to_csv(directory / METRICS)
    checkpoint = judge_training(directory, training, metrics, end)
    figures = summarise(metrics, training.rl_library)
    return TrainingSummary(
        iterations=training.max_iterations,
        final_checkpoint=f"{CHECKPOINTS}{checkpoint}",
        mean_reward=figures.mean_reward,
        mean_steps_per_second=figures.mean_steps_per_second,
        training_seconds=figures.training_seconds,
    )


def _salvage(attempt: Attempt, failure: Failure) -> None:
    """Upload what there is of a failed run, for as long as a job that is being ended has time."""
    directory = run_directory(attempt.efs_root, attempt.spec.run_id)

    def upload() -> None:
        try:
            write_results(
                directory, attempt.spec, attempts=attempt.number, started_at=attempt.started_at, outcome=failure
            )
            for name, path in outputs(directory, attempt.spec.training.mode):
                attempt.uploader.upload_once(name, path)
        except (ArtifactError, OSError) as error:
            logger.warning("not everything of the failed run is in S3: %s", error)

    # A thread, since a call that hangs must not keep the failure from being reported.
    thread = threading.Thread(target=upload, name="salvage", daemon=True)
    thread.start()
    thread.join(_SALVAGE_SECONDS)


def _log_failure(run_id: str, error: Exception) -> None:
    """Log an expected failure in a line, and one that nobody foresaw with its traceback."""
    unexpected = None if isinstance(error, GaitwayError) else error
    # Only the first line: what follows is the simulator's output, which the log holds already.
    summary = str(error).partition("\n")[0]
    logger.error("%s failed: %s: %s", run_id, type(error).__name__, summary, exc_info=unexpected)
