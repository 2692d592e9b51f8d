"""A short trial before work that would be expensive to lose, in a separate process and directory.

For a training it is one iteration, with all environments, from its start to its export, so that it finds what stops
the training: a package that cannot be imported, a task that is not registered, settings that do not resolve, too many
environments for the GPU, a policy that cannot be exported. The workload decides whether there is one.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gaitway.contracts.artifacts import SIMULATOR_LOG
from gaitway.contracts.errors import GaitwayError, SimulationError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunSpec
from gaitway.contracts.workload import WorkloadConfig
from gaitway.runner.inputs.prepare import Prepared, write_job
from gaitway.runner.processes.simulate import SimulatorExit, Watch, simulate
from gaitway.runner.verdict.blame import judge_custom_environment
from gaitway.runner.verdict.judge import judge_cameras, judge_exit, judge_progress, quote
from gaitway.runner.verdict.observe import Observer, is_done
from gaitway.workloads import workload_of

logger = logging.getLogger(__name__)

DIRECTORY = "preflight"
_PASSED = "passed"


def planned_preflight(spec: RunSpec, prepared: Prepared) -> WorkloadConfig | None:
    """Return what to try before the run; None if the run has begun, the trial was done, or a trial is not worth it."""
    if prepared.continue_from is not None or (prepared.directory / DIRECTORY / _PASSED).exists():
        return None
    return workload_of(spec.training).preflight(spec.training, spec.num_processes)


def preflight(
    command: Sequence[str], prepared: Prepared, training: WorkloadConfig, output_files: S3Uri, watch: Watch
) -> None:
    """Try a run in one process.

    Args:
        command: Starts a process of the simulator.
        prepared: The run.
        training: What to try: see `planned_preflight`.
        output_files: Prefix of its outputs.
        watch: Checked repeatedly.

    Raises:
        GaitwayError: Why the work would fail, of the class that says whether a retry can help.
    """
    directory = prepared.directory / DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    training = training.model_copy(update={"enable_cameras": prepared.job.training.enable_cameras})
    write_job(directory, prepared.job.model_copy(update={"training": training}))
    observer = Observer(training, lambda progress: None)
    started = time.monotonic()

    # Its output is in the run's own log, which is uploaded however the run ends.
    log_name = f"../{SIMULATOR_LOG}"
    end = simulate(
        command, directory, replace(watch, is_done=is_done(directory, training, observer)), observer.read_line, log_name
    )
    try:
        judge_progress(end, observer.progress, time.monotonic() - started)
        judge_cameras(end)
        judge_custom_environment(end, prepared.job.custom_environment)
        _judge(end, directory, training, output_files, observer)
    except GaitwayError as error:
        noun = workload_of(training).noun
        raise type(error)(f"the pre-flight (a short trial before the {noun} itself) failed: {error}") from error
    logger.info("pre-flight passed in %.0f seconds", time.monotonic() - started)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(exist_ok=True)
    (directory / _PASSED).touch()


def _judge(
    end: SimulatorExit, directory: Path, training: WorkloadConfig, output_files: S3Uri, observer: Observer
) -> None:
    workload = workload_of(training)
    if workload.is_finished(directory, training):
        return
    judge_exit(end, directory, training, output_files)
    if not (observer.is_complete or workload.is_complete(directory, training)):
        raise SimulationError(f"the simulator ended well, but the {workload.noun} has done nothing. {quote(end)}")
