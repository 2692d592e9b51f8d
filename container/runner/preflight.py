"""One iteration before a training that would be dear to lose, in a process and a directory of its own.

It is the training itself, with as many environments, from its start to its export, so that it finds whatever stops the
training: a package that cannot be imported, a task that is not registered, settings that do not resolve, too many
environments for the GPU, a policy that cannot be exported. Other training is its own pre-flight: it fails as early.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from container.runner.blame import judge_custom_environment
from container.runner.judge import is_complete, is_exported, is_finished, judge_exit, judge_progress, quote
from container.runner.observe import Observer
from container.runner.prepare import Prepared, write_job
from container.runner.simulate import SimulatorExit, Watch, simulate
from gaitway.contracts.artifacts import SIMULATOR_LOG
from gaitway.contracts.errors import GaitwayError, SimulationError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import TrainingConfig
from gaitway.contracts.run import RunSpec

logger = logging.getLogger(__name__)

LONG_TRAINING_ITERATIONS = 1_000
"""Most tasks take one to three seconds for an iteration: a quarter of an hour or more, of which a second start of the
simulator is a small part. What only the end of a training shows, such as its export, would be found late."""

DIRECTORY = "preflight"
_PASSED = "passed"


def is_due(spec: RunSpec, prepared: Prepared) -> bool:
    """Tell whether a run is rehearsed: a training in several processes or a long one, once, before it begins."""
    if spec.training.mode != "train" or prepared.continue_from is not None:
        return False
    if (prepared.directory / DIRECTORY / _PASSED).exists():
        return False
    in_several_processes = spec.compute.num_nodes * spec.compute.gpus_per_node > 1
    return in_several_processes or spec.training.max_iterations >= LONG_TRAINING_ITERATIONS


def preflight(command: Sequence[str], prepared: Prepared, output_files: S3Uri, watch: Watch) -> None:
    """Train one iteration in one process.

    Args:
        command: Starts a process of the simulator.
        prepared: The run.
        output_files: Prefix of its outputs.
        watch: Looked at all the time.

    Raises:
        GaitwayError: Why the training would fail, of the class that says whether a retry can help.
    """
    directory = prepared.directory / DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    training = prepared.job.training.model_copy(update={"max_iterations": 1, "record_video": False})
    write_job(directory, prepared.job.model_copy(update={"training": training}))
    observer = Observer(training, lambda progress: None)
    started = time.monotonic()

    def is_done() -> bool:
        return (observer.is_complete or is_exported(directory)) and is_complete(directory, training)

    # Its output stands in the run's own log, which is uploaded however the run ends.
    log_name = f"../{SIMULATOR_LOG}"
    end = simulate(command, directory, replace(watch, is_done=is_done), observer.read_line, log_name)
    try:
        judge_progress(end, observer.progress, time.monotonic() - started)
        judge_custom_environment(end, prepared.job.custom_environment)
        _judge(end, directory, training, output_files, observer)
    except GaitwayError as error:
        raise type(error)(f"the pre-flight (one iteration, before anything is trained) failed: {error}") from error
    logger.info("pre-flight passed in %.0f seconds", time.monotonic() - started)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(exist_ok=True)
    (directory / _PASSED).touch()


def _judge(
    end: SimulatorExit, directory: Path, training: TrainingConfig, output_files: S3Uri, observer: Observer
) -> None:
    if is_finished(directory, training):
        return
    judge_exit(end, directory, training, output_files)
    if not (observer.is_complete or is_complete(directory, training)):
        raise SimulationError(f"the simulator ended well, but has trained nothing. {quote(end)}")
