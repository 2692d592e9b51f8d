"""Make the run's directory ready for its simulator: fetch the inputs, describe the simulation."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import MANIFEST, METRICS, REPORT, RESULTS, run_directory
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.inputs import (
    AGENT_SETTINGS,
    CONTINUED_CHECKPOINT,
    CONTINUED_PARAMETERS,
    CUSTOM_ENVIRONMENT,
    RESUME_CHECKPOINT,
    InputFile,
    local_name,
    names_of,
)
from gaitway.contracts.run import RunSpec
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, STOP_FILE, CustomEnvironment, SimulationJob
from gaitway.outputs.results import write_json
from gaitway.packages.archive import MAX_BYTES
from gaitway.runner.inputs.custom_environment import install
from gaitway.runner.retry import retrying
from gaitway.runner.stop import StopRequest
from gaitway.workloads import workload_of
from gaitway.workloads.checkpoints import Checkpoint, place_checkpoint
from gaitway.workloads.noted import FILE as WARNINGS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

SIMULATION_FILE = "simulation.json"
INPUTS = "inputs"
_BEGINNING = {RESUME_CHECKPOINT, CONTINUED_CHECKPOINT, *CONTINUED_PARAMETERS}
"""What only a training needs that has no checkpoint of its own."""
_OPTIONAL = frozenset({AGENT_SETTINGS})

# S3 answers 403 for a missing object if the role may not list the bucket.
_UNREADABLE = frozenset({"403", "404", "AccessDenied", "NoSuchBucket", "NoSuchKey"})


@dataclass(frozen=True)
class Prepared:
    """What the simulator starts from."""

    directory: Path
    """The run's directory."""
    continue_from: Checkpoint | None
    """The state saved by an earlier attempt at this run."""
    job: SimulationJob
    """The content of `simulation.json`."""


def prepare(spec: RunSpec, efs_root: Path, s3: S3Client, stop: StopRequest) -> Prepared:
    """Create the run's directory, fetch the inputs that its request names, and write `simulation.json`.

    What an earlier attempt trained stays, to resume from. What it evaluated is removed: an evaluation counts only
    as a whole.

    Args:
        spec: The run.
        efs_root: Where EFS is mounted.
        s3: An S3 client.
        stop: Ends the waiting between attempts to fetch.

    Raises:
        InputNotFoundError: An input does not exist, or cannot be read.
        CustomEnvironmentError: The package with further tasks is refused, or cannot be installed.
    """
    directory = run_directory(efs_root, spec.run_id)
    directory.mkdir(parents=True, exist_ok=True)
    for name in (METRICS, RESULTS, REPORT, MANIFEST, STOP_FILE):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / EVALUATION_DIRECTORY, ignore_errors=True)

    # Only from this run's own directory, never from another run's.
    workload = workload_of(spec.training)
    continue_from = workload.newest(directory, spec.training)
    if continue_from is None:
        # Nothing of an earlier attempt is left that its warnings would be about.
        (directory / WARNINGS).unlink(missing_ok=True)
    # A training that resumes no longer needs the checkpoint that it was started from.
    needed = spec.inputs.keys() - (_BEGINNING if continue_from else set())
    inputs = {}
    for name in sorted(needed):
        try:
            inputs[name] = _fetch(name, spec.inputs[name], directory / INPUTS / name, s3, stop)
        except InputNotFoundError as error:
            if name not in _OPTIONAL:
                raise
            logger.warning("going on without it: %s", error)
    checkpoint, library = inputs.pop(CONTINUED_CHECKPOINT, None), spec.training.library
    if checkpoint is not None and library is not None:
        parameters = {inputs.pop(name): file for name, file in CONTINUED_PARAMETERS.items() if name in inputs}
        place_checkpoint(checkpoint, parameters, directory, library)
        continue_from = workload.newest(directory, spec.training)
        if continue_from is None:
            raise InputNotFoundError(
                f"{spec.inputs[CONTINUED_CHECKPOINT].uri} is incomplete or damaged, so that the run in resumeFrom "
                "cannot be continued from it: give an older one as resumeCheckpoint"
            )
    if continue_from is not None:
        logger.info("going on from %s, %d iterations", continue_from.name, continue_from.iterations)
    archives = [inputs.pop(name) for name in names_of(CUSTOM_ENVIRONMENT, inputs)]
    job = SimulationJob(
        training=spec.training,
        inputs=inputs,
        continue_from=continue_from.path if continue_from else None,
        custom_environment=_install(spec, archives, directory, stop) if archives else None,
    )
    write_job(directory, job)
    return Prepared(directory, continue_from, job)


def with_cameras(prepared: Prepared) -> Prepared:
    """Let the simulator run with cameras."""
    job = prepared.job
    training = job.training.model_copy(update={"enable_cameras": True})
    changed = replace(prepared, job=job.model_copy(update={"training": training}))
    write_job(prepared.directory, changed.job)
    return changed


def write_job(directory: Path, job: SimulationJob) -> None:
    """Write `simulation.json` by alias: the request has camelCase keys, and is read by them."""
    write_json(directory / SIMULATION_FILE, job)


def _install(spec: RunSpec, archives: list[Path], directory: Path, stop: StopRequest) -> CustomEnvironment:
    training = spec.training
    return install(
        archives,
        directory,
        task=training.task,
        with_dependencies=training.install_dependencies,
        pause=stop.sleep,
    )


def _fetch(name: str, file: InputFile, folder: Path, s3: S3Client, stop: StopRequest) -> Path:
    uri, field = file.uri, f"the {name.replace('_', ' ')}"
    max_bytes = MAX_BYTES if names_of(CUSTOM_ENVIRONMENT, [name]) else None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / local_name(uri.name)
    logger.info("fetching %s from %s", field, uri)

    def download() -> None:
        try:
            found = s3.head_object(Bucket=uri.bucket, Key=uri.key)
            if max_bytes is not None and found["ContentLength"] > max_bytes:
                raise RequestError(f"{field} is {uri}, which is larger than {max_bytes // 1024**2} MiB")
            if file.etag is not None and found["ETag"] != file.etag:
                logger.warning("%s has changed since the run was accepted: %s", field, uri)
            # boto3 downloads to a temporary name first, so an incomplete file never has this name.
            s3.download_file(uri.bucket, uri.key, str(target))
        except ClientError as error:
            if error.response["Error"]["Code"] in _UNREADABLE:
                raise InputNotFoundError(
                    f"{field} is {uri}, which cannot be read ({error}): check that it exists and the job may read it"
                ) from error
            raise

    retrying(AWS_ERRORS, stop.sleep)(download)
    return target
