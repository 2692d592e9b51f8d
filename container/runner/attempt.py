"""One attempt at a run: its steps, in the order in which they happen."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from container.runner.blame import judge_custom_environment
from container.runner.budget import Budget, BudgetWatch, SpentError, over_budget
from container.runner.checkpoint_uploads import CheckpointUploads
from container.runner.gpus import GpuSampler, merge_usage
from container.runner.heartbeat import Activity
from container.runner.history import SUCCEEDED, History
from container.runner.judge import (
    is_complete,
    is_exported,
    is_finished,
    judge_evaluation,
    judge_exit,
    judge_progress,
    judge_training,
)
from container.runner.launch import Simulator
from container.runner.lock import locked
from container.runner.observe import Observer
from container.runner.preflight import is_due, preflight
from container.runner.prepare import Prepared, prepare
from container.runner.published import PublishedMetrics
from container.runner.record import RecordWriter
from container.runner.results import write_config, write_results
from container.runner.simulate import Ending, SimulatorExit, Watch
from container.runner.stop import StopRequest
from container.runner.upload import PatientUploader
from gaitway.contracts.artifacts import (
    CHECKPOINTS,
    MANIFEST,
    METRICS,
    REPORT,
    RESULTS,
    TrainingSummary,
    run_directory,
)
from gaitway.contracts.errors import BudgetExceededError, SimulationError
from gaitway.contracts.history import Machine
from gaitway.contracts.run import JobResult, Progress, RunSpec
from gaitway.contracts.simulation import STOP_FILE, EvaluationSummary
from gaitway.outputs.files import outputs
from gaitway.outputs.report import write_report
from gaitway.outputs.results import write_json

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """This attempt at a run, and what its steps share."""

    spec: RunSpec
    number: int
    """Counted over all jobs of the run, from 1."""
    machine: Machine | None
    """What it runs on; None where that is not known."""
    started_at: datetime
    """When the first attempt began."""
    command: tuple[str, ...]
    """Starts one process of the simulator."""
    simulator: AbstractContextManager[Simulator]
    """Entered for as long as the simulator may run."""
    exit_allowance_seconds: float
    """For how long the simulator may stay after its work is done."""
    efs_root: Path
    image: str | None
    """The job's container image, with its digest; None where it runs in none."""
    s3: S3Client
    stop: StopRequest
    activity: Activity
    record: RecordWriter
    history: History
    budget: Budget
    gpus: GpuSampler
    """Entered for as long as the simulator runs."""
    published: PublishedMetrics
    uploader: PatientUploader

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return run_directory(self.efs_root, self.spec.run_id)

    def enter(self, phase: str) -> None:
        """Begin a step, unless the run is to stop."""
        self.stop.check()
        logger.info("%s: %s", self.spec.run_id, phase)
        self.activity.note()
        self.record.note(phase=phase)


def do(attempt: Attempt, held: ExitStack) -> JobResult:
    """Go through the steps of a run.

    Args:
        attempt: This attempt.
        held: Keeps the run's directory locked, in which there is work to do even after a failure.

    Raises:
        GaitwayError: Why the run did not succeed.
    """
    attempt.enter("prepare")
    held.enter_context(locked(attempt.directory, attempt.stop))
    with attempt.history:
        attempt.budget.require_price()
        prepared = prepare(attempt.spec, attempt.efs_root, attempt.s3, attempt.stop)
        write_config(prepared.directory, attempt.spec, attempt.image)
        if attempt.budget.is_spent and not is_finished(prepared.directory, attempt.spec.training):
            raise _over_budget(attempt, done=0)

        if is_due(attempt.spec, prepared):
            attempt.enter("preflight")
            _preflight(attempt, prepared)

        attempt.enter("simulate")
        end = _simulate(attempt, prepared)

        attempt.enter("judge")
        if not attempt.activity.simulation_began:
            judge_custom_environment(end, prepared.job.custom_environment)
        outcome = _judge(attempt.spec, prepared.directory, end)

        attempt.enter("upload")
        _upload(attempt, outcome)

        attempt.enter("report")
    return JobResult(run_id=attempt.spec.run_id, manifest=attempt.spec.output_files / MANIFEST)


def _upload(attempt: Attempt, outcome: TrainingSummary | EvaluationSummary) -> None:
    """Bring the outputs to S3, then what tells of them, and last the list of it all."""
    directory, uploader = attempt.directory, attempt.uploader
    merge_usage(directory)
    files = dict(outputs(directory, attempt.spec.training))
    for name, path in files.items():
        attempt.stop.check()
        uploader.upload(name, path)
    attempt.history.note(uploaded_at=datetime.now(UTC))
    results = write_results(
        directory,
        attempt.spec,
        attempts=attempt.number,
        started_at=attempt.started_at,
        outcome=outcome,
        cost=attempt.history.cost,
        history=attempt.history.so_far(outcome=SUCCEEDED),
    )
    uploader.upload(RESULTS, directory / RESULTS)
    if write_report(directory / REPORT, directory, results, files, uploader.entries):
        uploader.upload(REPORT, directory / REPORT)
    # What the manifest does not list is no part of the results.
    manifest = directory / MANIFEST
    write_json(manifest, uploader.manifest(attempt.spec.run_id))
    uploader.upload(MANIFEST, manifest)


def _preflight(attempt: Attempt, prepared: Prepared) -> None:
    """Rehearse the run, as long as it may cost more."""
    watch = _watch(attempt, BudgetWatch(attempt.budget, stop_file=None))
    try:
        preflight(attempt.command, prepared, attempt.spec.output_files, watch)
    except SpentError:
        raise _over_budget(attempt, done=0) from None


def _simulate(attempt: Attempt, prepared: Prepared) -> SimulatorExit:
    """Run the simulator while its progress is written down and its checkpoints are uploaded."""
    training, directory = attempt.spec.training, prepared.directory

    def on_progress(progress: Progress) -> None:
        attempt.activity.note_simulated()
        attempt.record.note(progress=progress)
        attempt.published.note_progress(progress)
        if attempt.history.note_progress():
            attempt.published.note_first_iteration(attempt.history.accepted_at)

    def is_done() -> bool:
        return (observer.is_complete or is_exported(directory)) and is_complete(directory, training)

    observer = Observer(training, on_progress)
    uploads = CheckpointUploads(directory, training.rl_library, attempt.uploader, observer.mean_reward_at)
    if prepared.continue_from is not None:
        done = min(prepared.continue_from.iterations or 0, training.max_iterations)
        attempt.history.note(resumed_from=done)
        attempt.record.note(progress=Progress(done=done, total=training.max_iterations))
        if is_finished(directory, training):
            logger.info("%s: an earlier attempt trained to the end", attempt.spec.run_id)
            return SimulatorExit(0, Ending.EXITED, ())
    budget = BudgetWatch(attempt.budget, directory / STOP_FILE if training.mode == "train" else None)
    watch = replace(_watch(attempt, budget), is_done=is_done)
    try:
        with uploads, attempt.simulator as simulator, attempt.gpus:
            attempt.history.note(simulator_began_at=datetime.now(UTC))
            end = simulator.run(directory, watch, observer.read_line)
    except (SpentError, SimulationError) as error:
        if isinstance(error, SimulationError) and not budget.has_asked:
            raise
        raise _over_budget(attempt, observer.progress.done if observer.progress else 0) from None
    finally:
        attempt.history.note(simulator_ended_at=datetime.now(UTC))
    if budget.has_asked and not is_complete(directory, training):
        raise _over_budget(attempt, observer.progress.done if observer.progress else 0)
    judge_progress(end, observer.progress, attempt.activity.idle_seconds)
    return end


def _over_budget(attempt: Attempt, done: int) -> BudgetExceededError:
    """Bring the newest checkpoint to S3, and describe the end of a run that has come to what it may cost."""
    spec = attempt.spec
    return over_budget(attempt.budget, attempt.directory, spec.training, attempt.uploader, spec.output_files, done)


def _watch(attempt: Attempt, budget: BudgetWatch) -> Watch:
    """Look for a wish to stop, for what the run costs and for progress, whatever the simulator does."""

    def check() -> None:
        attempt.stop.check()
        budget.check()

    return Watch(
        check=check,
        makes_progress=lambda: attempt.activity.goes_on,
        is_done=lambda: False,
        exit_allowance_seconds=attempt.exit_allowance_seconds,
    )


def _judge(spec: RunSpec, directory: Path, end: SimulatorExit) -> TrainingSummary | EvaluationSummary:
    """Read what the simulator left, and decide whether that is what was asked for."""
    # pandas takes half a second to import, in which the simulator can start already.
    from container.runner.metrics import read_metrics, summarise

    training = spec.training
    if end.code != 0 and is_finished(directory, training):
        # Isaac Sim at times crashes when it shuts down.
        logger.warning("%s: the simulator ended badly after its work was done", spec.run_id)
    else:
        judge_exit(end, directory, training, spec.output_files)
    if training.mode == "evaluate":
        return judge_evaluation(directory, training, end)
    metrics = read_metrics(directory, training.rl_library)
    metrics.to_csv(directory / METRICS)
    checkpoint = judge_training(directory, training, metrics, end)
    num_processes = spec.compute.num_nodes * spec.compute.gpus_per_node
    figures = summarise(metrics, training.rl_library, training.num_envs * num_processes)
    return TrainingSummary(
        iterations=training.max_iterations,
        final_checkpoint=f"{CHECKPOINTS}{checkpoint}",
        mean_reward=figures.mean_reward,
        mean_steps_per_second=figures.mean_steps_per_second,
        training_seconds=figures.training_seconds,
    )
