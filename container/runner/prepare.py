"""Make the run's directory ready for its simulator: inputs fetched, the job written down."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from container.runner.custom_environment import install
from container.runner.custom_environment_archive import MAX_BYTES
from container.runner.retry import retrying
from container.runner.stop import StopRequest
from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import MANIFEST, METRICS, REPORT, RESULTS, run_directory
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunSpec
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, STOP_FILE, SimulationJob
from gaitway.outputs.checkpoints import Checkpoint, newest
from gaitway.outputs.results import write_json

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

SIMULATION_FILE = "simulation.json"
INPUTS = "inputs"

# S3 answers 403 for a missing object to a role that may not list the bucket.
_UNREADABLE = frozenset({"403", "404", "AccessDenied", "NoSuchBucket", "NoSuchKey"})


@dataclass(frozen=True)
class Prepared:
    """What the simulator starts from."""

    directory: Path
    """The run's directory."""
    continue_from: Checkpoint | None
    """What an earlier attempt at this run came to."""
    job: SimulationJob
    """What `simulation.json` says."""


def prepare(spec: RunSpec, efs_root: Path, s3: S3Client, stop: StopRequest) -> Prepared:
    """Make the run's directory, fetch what its request points at, and write `simulation.json`.

    What an earlier attempt trained stays, and is gone on from. What it evaluated is removed: an evaluation counts only
    as a whole.

    Args:
        spec: The run.
        efs_root: Where EFS is mounted.
        s3: An S3 client.
        stop: Ends waiting between attempts to fetch.

    Raises:
        InputNotFoundError: An input does not exist, or cannot be read.
        CustomEnvironmentError: The package with further tasks is refused, or cannot be installed.
    """
    directory = run_directory(efs_root, spec.run_id)
    inputs = directory / INPUTS
    inputs.mkdir(parents=True, exist_ok=True)
    for name in (METRICS, RESULTS, REPORT, MANIFEST, STOP_FILE):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / EVALUATION_DIRECTORY, ignore_errors=True)

    def fetch(field: str, uri: S3Uri | None, max_bytes: int | None = None) -> Path | None:
        return _fetch(field, uri, inputs, s3, stop, max_bytes) if uri else None

    # Of this run's own directory: nothing from another run is ever picked up.
    continue_from = newest(directory, spec.training.rl_library) if spec.training.mode == "train" else None
    if continue_from is not None:
        logger.info("going on from %s, %d iterations", continue_from.name, continue_from.iterations)
    archive = fetch("the custom environment", spec.custom_environment, MAX_BYTES)
    job = SimulationJob(
        training=spec.training,
        policy=fetch("the policy", spec.policy),
        # What it was started from is of no use to a training that goes on.
        resume_checkpoint=None if continue_from else fetch("resumeCheckpoint", spec.resume_checkpoint),
        continue_from=continue_from.path if continue_from else None,
        custom_environment=install(archive, directory) if archive else None,
    )
    write_job(directory, job)
    return Prepared(directory, continue_from, job)


def write_job(directory: Path, job: SimulationJob) -> None:
    """Write `simulation.json`, by alias: what the user wrote has camelCase keys and is read by them."""
    write_json(directory / SIMULATION_FILE, job)


def _fetch(field: str, uri: S3Uri, folder: Path, s3: S3Client, stop: StopRequest, max_bytes: int | None = None) -> Path:
    target = folder / uri.name
    logger.info("fetching %s from %s", field, uri)

    def download() -> None:
        try:
            if max_bytes is not None and s3.head_object(Bucket=uri.bucket, Key=uri.key)["ContentLength"] > max_bytes:
                raise RequestError(f"{field} is {uri}, which is larger than {max_bytes // 1024**2} MiB")
            # boto3 writes to a temporary name first, so that a half-fetched file has never this one.
            s3.download_file(uri.bucket, uri.key, str(target))
        except ClientError as error:
            if error.response["Error"]["Code"] in _UNREADABLE:
                raise InputNotFoundError(
                    f"{field} is {uri}, which cannot be read ({error}): check that it exists and the job may read it"
                ) from error
            raise

    retrying(AWS_ERRORS, stop.sleep)(download)
    return target
