"""One attempt at a run: its steps, in the order in which they happen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gaitway.contracts.artifacts import MANIFEST, REPORT, RESULTS, Results, run_directory
from gaitway.contracts.errors import BudgetExceededError, CamerasNeededError, SimulationError
from gaitway.contracts.history import Machine
from gaitway.contracts.model import Stored
from gaitway.contracts.run import JobResult, Progress, RunSpec
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, STOP_FILE, live_view_port
from gaitway.contracts.workload import WorkloadConfig
from gaitway.outputs.files import outputs
from gaitway.outputs.report_file import write_report
from gaitway.outputs.results import read_ran_with, write_json
from gaitway.runner.host.host import Notices
from gaitway.runner.host.lock import locked
from gaitway.runner.host.spot import SpotWatch
from gaitway.runner.host.storage import patiently
from gaitway.runner.inputs.prepare import Prepared, prepare, with_cameras
from gaitway.runner.ownership import Ownership
from gaitway.runner.processes.launch import Simulator
from gaitway.runner.processes.simulate import Ending, SimulatorExit, Watch
from gaitway.runner.reporting.budget import Budget, BudgetWatch, SpentError, over_budget
from gaitway.runner.reporting.cloudwatch import PublishedMetrics
from gaitway.runner.reporting.gpus import GpuSampler, merge_usage
from gaitway.runner.reporting.heartbeat import Activity
from gaitway.runner.reporting.history import SUCCEEDED, History
from gaitway.runner.reporting.prometheus import RunReadings
from gaitway.runner.reporting.record import RecordWriter
from gaitway.runner.results.checkpoint_uploads import CheckpointUploads
from gaitway.runner.results.documents import write_config, write_results
from gaitway.runner.results.upload import PatientUploader
from gaitway.runner.stop import StopRequest
from gaitway.runner.verdict.blame import judge_custom_environment
from gaitway.runner.verdict.judge import judge_cameras, judge_exit, judge_progress, judge_work
from gaitway.runner.verdict.observe import Observer, is_done
from gaitway.runner.verdict.preflight import planned_preflight, preflight
from gaitway.workloads import Workload, workload_of
from gaitway.workloads.noted import note_from_output, note_warning, noted_warnings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CAMERAS_ENABLED = (
    "Isaac Lab says that the task needs cameras, and the request leaves that open (trainingConfig.enableCameras): they "
    "were enabled"
)
_WARNINGS_OF_RECORD = 10
"""results.json has them all."""


@dataclass(frozen=True)
class Work:
    """The run, and what this attempt uses to do it."""

    spec: RunSpec
    number: int
    """Number of the attempt over all jobs of the run, from 1."""
    started_at: datetime
    """When the first attempt began."""
    machine: Machine | None
    """What the attempt runs on; None if that is unknown."""
    image: str | None
    """The job's container image, with its digest; None if it runs in no container."""
    efs_root: Path
    s3: S3Client
    command: tuple[str, ...]
    """Starts one process of the simulator."""
    simulator: AbstractContextManager[Simulator]
    """Entered for as long as the simulator may run."""
    exit_allowance_seconds: float
    """For how long the simulator may stay after its work is done."""

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return run_directory(self.efs_root, self.spec.run_id)

    @property
    def workload(self) -> Workload[Any]:
        """What kind of work the run is."""
        return workload_of(self.spec.training)


@dataclass(frozen=True)
class Standing:
    """The attempt's state: whether it may continue, how far it is, and what it has cost."""

    stop: StopRequest
    activity: Activity
    ownership: Ownership
    history: History
    budget: Budget
    spot: Notices
    """Entered for as long as the run is active."""
    gpus: GpuSampler
    """Entered for as long as the simulator runs."""


@dataclass(frozen=True)
class Reports:
    """Where the attempt sends its reports and files."""

    record: RecordWriter
    published: PublishedMetrics
    readings: RunReadings
    uploader: PatientUploader


@dataclass(frozen=True)
class Attempt:
    """This attempt at a run, and what its steps share."""

    work: Work
    standing: Standing
    reports: Reports

    def enter(self, phase: str) -> None:
        """Begin a step, unless the run must stop."""
        self.standing.stop.check()
        logger.info("%s: %s", self.work.spec.run_id, phase)
        self.standing.activity.note()
        self.reports.record.note(phase=phase)

    def patiently(self, step: Callable[[], T]) -> T:
        """Run a step that may be repeated, and repeat it while a file system refuses it."""
        return patiently(step, self.work.directory, self.standing.stop)


def carry_out(attempt: Attempt, held: ExitStack) -> JobResult:
    """Run the steps of a run.

    Args:
        attempt: This attempt.
        held: Keeps the run's directory locked; the directory is still used after a failure.

    Raises:
        GaitwayError: Why the run did not succeed.
    """
    work, standing, reports = attempt.work, attempt.standing, attempt.reports
    attempt.enter("prepare")
    attempt.patiently(lambda: held.enter_context(locked(work.directory, standing.stop)))
    with standing.history:
        standing.budget.require_price()
        prepared = attempt.patiently(lambda: prepare(work.spec, work.efs_root, work.s3, standing.stop))
        custom = prepared.job.custom_environment
        installed = custom.installed if custom else {}
        attempt.patiently(lambda: write_config(prepared.directory, work.spec, work.image, installed))
        for text in custom.warnings if custom else ():
            note_warning(prepared.directory, f"the custom environment: {text}")
        if standing.budget.is_spent and not work.workload.is_finished(prepared.directory, work.spec.training):
            raise _over_budget(attempt, done=0)

        if standing.history.needs_cameras and prepared.job.training.enable_cameras is None:
            prepared = _with_cameras(attempt, prepared)
        planned = planned_preflight(work.spec, prepared)
        if planned is not None:
            attempt.enter("preflight")
            prepared = attempt.patiently(lambda: _preflight(attempt, prepared, planned))

        attempt.enter("simulate")
        end = _simulate(attempt, prepared)

        attempt.enter("judge")
        if not standing.activity.simulation_began:
            judge_custom_environment(end, prepared.job.custom_environment)
        outcome = attempt.patiently(lambda: _judge(work.spec, prepared.directory, end))

        attempt.enter("upload")
        attempt.patiently(lambda: _upload(attempt, outcome))

        # From here on the run has succeeded. A request to stop must no longer fail it.
        reports.record.note(phase="report")
    return JobResult(
        run_id=work.spec.run_id,
        manifest=work.spec.output_files / MANIFEST,
        attempts=work.number,
    )


def _upload(attempt: Attempt, outcome: Stored) -> None:
    """Upload the outputs to S3, then the results and the report, and last the manifest."""
    work, standing, reports = attempt.work, attempt.standing, attempt.reports
    directory, uploader = work.directory, reports.uploader
    merge_usage(directory)
    files = dict(outputs(directory, work.spec.training, work.spec.refused_suffixes))
    for name, path in files.items():
        standing.stop.check()
        uploader.upload(name, path)
    standing.history.note(uploaded_at=datetime.now(UTC))
    results = _write_results(attempt, outcome)
    uploader.upload(RESULTS, directory / RESULTS)
    if write_report(directory / REPORT, directory, results, files, uploader.entries):
        uploader.upload(REPORT, directory / REPORT)
    else:
        note_warning(directory, f"there is no {REPORT}: it could not be drawn, and the job's log says why")
        _write_results(attempt, outcome)
        uploader.upload(RESULTS, directory / RESULTS)
    reports.record.note(warnings=noted_warnings(directory)[:_WARNINGS_OF_RECORD] or None)
    # What the manifest does not list is not part of the results.
    manifest = directory / MANIFEST
    write_json(manifest, uploader.manifest(work.spec.run_id))
    uploader.upload(MANIFEST, manifest)


def _write_results(attempt: Attempt, outcome: Stored) -> Results:
    work, standing = attempt.work, attempt.standing
    return write_results(
        work.directory,
        work.spec,
        attempts=work.number,
        started_at=work.started_at,
        outcome=outcome,
        cost=standing.history.cost,
        history=standing.history.so_far(outcome=SUCCEEDED),
    )


def _preflight(attempt: Attempt, prepared: Prepared, planned: WorkloadConfig) -> Prepared:
    """Run the pre-flight, as long as the budget allows; return what it found out to be needed."""
    work, standing = attempt.work, attempt.standing
    watch = _watch(attempt, BudgetWatch(standing.budget, stop_file=None), SpotWatch(standing.spot, stop_file=None))
    try:
        try:
            preflight(work.command, prepared, planned, work.spec.output_files, watch)
        except CamerasNeededError as error:
            prepared = _with_cameras(attempt, prepared, error)
            preflight(work.command, prepared, planned, work.spec.output_files, watch)
    except SpentError:
        raise _over_budget(attempt, done=0) from None
    return prepared


def _with_cameras(attempt: Attempt, prepared: Prepared, error: CamerasNeededError | None = None) -> Prepared:
    """Enable cameras, and say so in the history and the record.

    Raises:
        CamerasNeededError: The given one, if the request forbids cameras.
    """
    if error is not None and prepared.job.training.enable_cameras is not None:
        raise error
    logger.warning("%s: %s", attempt.work.spec.run_id, _CAMERAS_ENABLED)
    attempt.standing.history.note(with_cameras=True)
    attempt.reports.record.note(remark=_CAMERAS_ENABLED)
    return attempt.patiently(lambda: with_cameras(prepared))


def _simulate(attempt: Attempt, prepared: Prepared) -> SimulatorExit:
    """Run the simulator; meanwhile record its progress and upload its checkpoints."""
    work, standing, reports = attempt.work, attempt.standing, attempt.reports
    training, directory, workload = work.spec.training, prepared.directory, work.workload

    def on_progress(progress: Progress) -> None:
        if not standing.activity.simulation_began:
            reports.record.note(ran_with=read_ran_with(directory))
        standing.activity.note_simulated()
        reports.record.note(progress=progress)
        reports.published.note_progress(progress)
        reports.readings.note_progress(progress)
        if standing.history.note_progress():
            reports.published.note_first_iteration(standing.history.accepted_at)

    observer = Observer(training, on_progress)

    def read_line(line: str) -> None:
        observer.read_line(line)
        note_from_output(directory, line)
        if training.live_view and (port := live_view_port(line)) is not None:
            reports.record.note(live_view_port=port)

    uploads = attempt.patiently(
        lambda: CheckpointUploads(
            directory, training, reports.uploader, observer.mean_reward_at, reports.readings.note_checkpoint
        )
    )
    if prepared.continue_from is not None:
        total = workload.total(training)
        done = min(prepared.continue_from.iterations or 0, total)
        standing.history.note(resumed_from=done)
        reports.record.note(progress=Progress(done=done, total=total))
        if workload.is_finished(directory, training):
            logger.info("%s: an earlier attempt came to the end of the %s", work.spec.run_id, workload.noun)
            return SimulatorExit(0, Ending.EXITED, ())
    stop_file = directory / STOP_FILE if workload.saves_when_asked else None
    budget, spot = BudgetWatch(standing.budget, stop_file), SpotWatch(standing.spot, stop_file)
    watch = replace(_watch(attempt, budget, spot), is_done=is_done(directory, training, observer))
    try:
        with uploads, work.simulator as simulator, standing.gpus:
            # The time spent waiting for other nodes is not the simulator's.
            standing.activity.note()
            standing.history.note(simulator_began_at=datetime.now(UTC))
            end = simulator.run(directory, watch, read_line)
            try:
                judge_cameras(end)
            except CamerasNeededError as error:
                _with_cameras(attempt, prepared, error)
                if work.spec.compute.num_nodes > 1:
                    # The other nodes' runners have ended. A pre-flight comes first, so that this hardly happens.
                    raise SimulationError(f"{_CAMERAS_ENABLED} for the next attempt at this run") from None
                end = simulator.run(directory, watch, read_line)
    except (SpentError, SimulationError) as error:
        if isinstance(error, SimulationError) and not budget.has_asked:
            raise
        raise _over_budget(attempt, observer.progress.done if observer.progress else 0) from None
    finally:
        standing.history.note(simulator_ended_at=datetime.now(UTC))
        if training.live_view:
            reports.record.note(live_view_port=None)
    if budget.has_asked and not workload.is_complete(directory, training):
        raise _over_budget(attempt, observer.progress.done if observer.progress else 0)
    if spot.has_asked and not workload.is_complete(directory, training):
        raise spot.interruption()
    judge_progress(end, observer.progress, standing.activity.idle_seconds)
    return end


def _over_budget(attempt: Attempt, done: int) -> BudgetExceededError:
    """Upload the newest checkpoint to S3, and describe the end of a run that has used up its budget."""
    work, standing, reports = attempt.work, attempt.standing, attempt.reports
    spec = work.spec
    return over_budget(standing.budget, work.directory, spec.training, reports.uploader, spec.output_files, done)


def _watch(attempt: Attempt, budget: BudgetWatch, spot: SpotWatch) -> Watch:
    """Check for a request to stop, the cost of the run, notices about its machine, and progress."""

    def check() -> None:
        attempt.standing.stop.check()
        budget.check()
        spot.check()

    return Watch(
        check=check,
        makes_progress=lambda: attempt.standing.activity.goes_on,
        is_done=lambda: False,
        exit_allowance_seconds=attempt.work.exit_allowance_seconds,
    )


def _judge(spec: RunSpec, directory: Path, end: SimulatorExit) -> Stored:
    """Read the simulator's files, and check that they are what was requested."""
    workload = workload_of(spec.training)
    if end.code != 0 and workload.is_finished(directory, spec.training):
        # Isaac Sim sometimes crashes when it shuts down.
        logger.warning("%s: the simulator ended badly after its work was done", spec.run_id)
    elif end.code not in (0, EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER) and workload.is_complete(directory, spec.training):
        note_warning(
            directory,
            f"the simulator failed after the last iteration or episode (exit code {end.code}): what follows that, the "
            "export of the policy or the end of a video, may be missing. simulator.log has its last lines",
        )
    else:
        judge_exit(end, directory, spec.training, spec.output_files)
    return judge_work(end, directory, spec.training, spec.num_processes)
