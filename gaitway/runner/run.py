"""A run's job, from finding its caller to reporting its end. The steps between are in `attempt.py`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import (
    ArtifactError,
    Failure,
    GaitwayError,
    InterruptedRunError,
    PlatformError,
    StorageError,
)
from gaitway.contracts.history import AttemptHistory, Machine
from gaitway.contracts.run import RunRecord, RunState
from gaitway.libraries.simulators import SIMULATORS
from gaitway.runner.attempt import Attempt, Reports, Standing, Work, carry_out
from gaitway.runner.host.environment import Environment
from gaitway.runner.host.host import Host, Image
from gaitway.runner.host.storage import storage_error
from gaitway.runner.inputs.prepare import SIMULATION_FILE
from gaitway.runner.ownership import Ownership
from gaitway.runner.processes.launch import simulator_of
from gaitway.runner.reporting.answer import Reporter
from gaitway.runner.reporting.budget import Budget
from gaitway.runner.reporting.cloudwatch import PublishedMetrics
from gaitway.runner.reporting.cost import shared
from gaitway.runner.reporting.gpus import GpuSampler, usage_file
from gaitway.runner.reporting.heartbeat import Activity, Heartbeat
from gaitway.runner.reporting.history import History
from gaitway.runner.reporting.prometheus import Offer, Place, RunReadings, gpu_readings
from gaitway.runner.reporting.record import RecordWriter
from gaitway.runner.results.upload import PatientUploader
from gaitway.runner.retry import retrying
from gaitway.runner.salvage import salvage
from gaitway.runner.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.metrics import Metrics

logger = logging.getLogger(__name__)

EXIT_DONE = 0
"""The run succeeded, or no caller waits for it."""
EXIT_FAILED = 10
"""It failed, and the inner machine has the error: the job definition's retry strategy ends the job only then."""
EXIT_ATTEMPT_AGAIN = 11
"""It can resume: nothing was reported, since another attempt of the job follows."""
_SAME_VERSION = "Deploy functions and image of one version (docs/upgrading.md), and start the run again"


@dataclass(frozen=True)
class Clients:
    """The AWS clients of the job's role."""

    s3: S3Client
    dynamodb: DynamoDBClient
    stepfunctions: SFNClient
    metrics: Metrics


def run(
    run_id: str,
    simulator: Sequence[str],
    environment: Environment,
    host: Host,
    clients: Clients,
    stop: StopRequest,
) -> int:
    """Do a run's whole job, and report its end to the inner machine.

    Args:
        run_id: The run.
        simulator: Starts the simulator, the Python interpreter first; the name of its file is added.
        environment: Where everything is.
        host: What runs the job.
        clients: The job role's.
        stop: Receives a signal's request to end the run.

    Returns:
        Exit code.
    """
    began_at = datetime.now(UTC)
    table = RunTable(clients.dynamodb, environment.run_table)
    record = retrying(AWS_ERRORS, stop.sleep)(table.get, run_id)
    if record is None or record.state.ended or record.job_id not in (None, host.job_id):
        logger.warning("%s: nothing to do, the run has ended or has another job", run_id)
        return EXIT_DONE
    ownership = Ownership(run_id, record.execution_arn, table)
    task_tokens = TaskTokens(clients.stepfunctions)
    activity = Activity()
    heartbeat = Heartbeat(ownership, task_tokens, activity, stop, environment.heartbeat_seconds)
    if not retrying(AWS_ERRORS, stop.sleep)(heartbeat.is_awaited, stop.sleep):
        logger.warning("%s: nothing to do, nobody waits for this run", run_id)
        return EXIT_DONE
    reporter = Reporter(ownership, task_tokens)
    if record.spec is None:
        _report(
            reporter,
            host,
            Failure.of(
                ArtifactError(
                    "the run's record holds no specification that this image can read: was the run constructed, and "
                    f"is the image as new as the functions? {_SAME_VERSION}"
                )
            ),
        )
        return EXIT_FAILED
    if record.is_newer:
        _report(
            reporter,
            host,
            Failure.of(
                PlatformError(
                    f"the run's record has schema version {record.schema_version}, newer than this image reads: "
                    f"the run might do something else than was asked for. {_SAME_VERSION}"
                )
            ),
        )
        return EXIT_FAILED

    wanted = record.spec.simulator
    if wanted is not None and SIMULATORS[wanted].module != environment.simulator:
        reporter.fail(
            Failure.of(
                PlatformError(
                    f"the run is for the simulator {wanted}, and this image holds {environment.simulator}: give "
                    "containerImageUri the image of each simulator, and start the run again"
                )
            )
        )
        return EXIT_FAILED

    spec, image = record.spec, host.image()
    machine = shared(host.machine(spec.compute.num_nodes, environment.instance_prices), spec.compute)
    begun = _begun(record, machine, image, began_at)
    directory = run_directory(environment.efs_root, run_id)
    history = History(directory, record.created_at, begun, record.cost)
    gpus = GpuSampler(usage_file(directory, 0), 0)
    readings = RunReadings(spec, wanted or environment.simulator, begun.number, activity, lambda: history.cost)
    attempt = Attempt(
        work=Work(
            spec=spec,
            number=begun.number,
            machine=begun.machine,
            started_at=record.started_at or began_at,
            command=(*simulator, SIMULATION_FILE),
            simulator=simulator_of(simulator, spec.compute.gpus_per_node, host, stop),
            exit_allowance_seconds=environment.exit_allowance_seconds,
            efs_root=environment.efs_root,
            image=image.name,
            s3=clients.s3,
        ),
        standing=Standing(
            stop=stop,
            activity=activity,
            ownership=ownership,
            history=history,
            budget=Budget(spec.compute.max_cost_usd, lambda: history.cost),
            spot=host.notices(begun.machine),
            gpus=gpus,
        ),
        reports=Reports(
            record=RecordWriter(run_id, record.execution_arn, begun.number, table, lambda: history.cost),
            published=PublishedMetrics(run_id, clients.metrics, lambda: history.attempt_cost, gpus.take_load),
            readings=readings,
            uploader=PatientUploader(clients.s3, spec.output_files, ownership.may_write, stop, on_upload=activity.note),
        ),
    )
    if not _begin(attempt, record, host, table):
        logger.warning("%s: nothing to do, the run has ended, or has another job or execution", run_id)
        return EXIT_DONE
    ownership.begin(attempt.work.number)
    offer = Offer(metrics_place(environment), readings.read, gpu_readings(run_id, 0, gpus.latest))
    with ExitStack() as held:
        try:
            with attempt.standing.spot, heartbeat, attempt.reports.record, attempt.reports.published, offer:
                result = carry_out(attempt, held)
        except Exception as raised:
            # A file system's error from any step is handled here; no other place turns it into one of ours.
            error = storage_error(raised, directory) or raised
            _log_failure(run_id, error)
            if not _is_owned(ownership):
                logger.warning("%s: nothing more to do, the run has succeeded or belongs to another attempt", run_id)
                return EXIT_DONE
            failure = Failure.of(error)
            if _is_attempted_again(error, failure, activity, host):
                logger.warning("%s: not reported to the caller, since another attempt follows", run_id)
                salvage(attempt, failure=None)
                _announce_next_attempt(run_id, record, heartbeat, table, failure)
                held.close()
                attempt.standing.spot.wait_until_gone(stop)
                return EXIT_ATTEMPT_AGAIN
            salvage(attempt, failure)
            # HandleFailure follows this report and salvages from the same directory, so it must be released before.
            held.close()
            _report(reporter, host, failure)
            return EXIT_FAILED
    reporter.succeed(result)
    logger.info("%s succeeded: %s", run_id, result.manifest)
    return EXIT_DONE


def metrics_place(environment: Environment) -> Place | None:
    """Return where this node's metrics are offered; None for nowhere."""
    port = environment.metrics_port
    return Place(port, environment.metrics_address) if port is not None else None


def _report(reporter: Reporter, host: Host, failure: Failure) -> None:
    """Tell the inner machine, and show it where the back end shows it."""
    reporter.fail(failure)
    host.report_failure(failure)


def _begun(record: RunRecord, machine: Machine | None, image: Image, at: datetime) -> AttemptHistory:
    """Describe the attempt as it begins."""
    return AttemptHistory(
        number=(record.attempts or 0) + 1,
        machine=machine,
        image_pull_began_at=image.pull_began_at,
        image_pull_ended_at=image.pull_ended_at,
        began_at=at,
        last_seen_at=at,
    )


def _begin(attempt: Attempt, record: RunRecord, host: Host, table: RunTable) -> bool:
    """Claim the run for this attempt; False if it has ended, or has another job or execution.

    Raises:
        InterruptedRunError: Another attempt of this job has begun at the same moment.
    """
    # Written at once, and not by the record's writer, so that an attempt killed in its first second also counts.
    is_begun = retrying(AWS_ERRORS, attempt.standing.stop.sleep)(
        table.begin_attempt,
        record,
        host.job_id,
        attempt=host.attempt,
        started_at=attempt.work.started_at,
        machine=attempt.work.machine,
        progress=None,
        # That of an attempt which was killed.
        live_view_port=None,
    )
    if is_begun:
        return True
    latest = retrying(AWS_ERRORS, attempt.standing.stop.sleep)(table.get, record.run_id)
    if (
        latest is None
        or latest.state.ended
        or latest.execution_arn != record.execution_arn
        or latest.job_id != host.job_id
    ):
        return False
    if (latest.attempts, latest.attempt) != (attempt.work.number, host.attempt):
        raise InterruptedRunError("another attempt of this job has begun in the same moment")
    # This call has claimed it: the first response was lost, and boto3 retried.
    return True


def _is_owned(ownership: Ownership) -> bool:
    """Return whether this attempt may still end the run."""
    try:
        record = ownership.record()
    except AWS_ERRORS as error:
        # Each later write or report is checked once more.
        logger.warning("to whom the run belongs is not known: %s", error)
        return True
    return record is not None and record.state is not RunState.SUCCEEDED


def _is_attempted_again(error: Exception, failure: Failure, activity: Activity, host: Host) -> bool:
    """Return whether the job's next attempt handles this failure, by resuming from the newest checkpoint.

    A simulation that fails before its first progress would fail again: the error is reported at once. A file system may
    have room, or answer, by then.
    """
    if isinstance(error, InterruptedRunError):
        return host.is_attempted_again_after_stop()
    deserves_another = activity.simulation_began or isinstance(error, StorageError)
    return failure.retryable and deserves_another and host.may_be_attempted_again


def _announce_next_attempt(
    run_id: str, record: RunRecord, heartbeat: Heartbeat, table: RunTable, failure: Failure
) -> None:
    """Allow the time until the next attempt has a machine, and record why there is one."""
    try:
        heartbeat.beat()
        table.update(
            run_id,
            of_execution=record.execution_arn,
            where={"attempts": (record.attempts or 0) + 1},
            state=RunState.QUEUED,
            phase=None,
            # Without the simulator's last lines.
            interruption=failure.cause.partition("\n")[0],
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("the next attempt could not be announced: %s", error)


def _log_failure(run_id: str, error: Exception) -> None:
    """Log an expected failure in one line, and an unexpected one with its traceback."""
    unexpected = None if isinstance(error, GaitwayError) else error
    # Only the first line: what follows is the simulator's output, which the log holds already.
    summary = str(error).partition("\n")[0]
    logger.error("%s failed: %s: %s", run_id, type(error).__name__, summary, exc_info=unexpected)
