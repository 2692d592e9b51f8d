"""Upload what there is of a failed attempt, for as long as a job that is being ended has time."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from container.runner.attempt import Attempt
from container.runner.results import write_results
from gaitway.contracts.artifacts import RESULTS
from gaitway.contracts.errors import ArtifactError, Failure
from gaitway.outputs.files import outputs, remains

logger = logging.getLogger(__name__)

_SALVAGE_SECONDS = 10.0
"""AWS Batch ends a job 30 seconds after its SIGTERM; the simulator's own end takes up to 10 of them."""


def salvage(attempt: Attempt, failure: Failure | None) -> None:
    """Upload every output that is there. What does not arrive fails nothing: it is still on EFS.

    Args:
        attempt: What failed.
        failure: The run's outcome, for its results; None where another attempt follows.
    """

    def upload() -> None:
        directory, training = attempt.directory, attempt.spec.training
        try:
            if failure is not None:
                _write_results(attempt, attempt.record.failure() or failure)
                _upload(attempt, RESULTS, directory / RESULTS)
            # What follows of a run that goes on makes its metrics.csv itself.
            for name, path in (outputs if failure is None else remains)(directory, training):
                _upload(attempt, name, path)
        except OSError as error:
            logger.warning("not everything of the failed attempt is in S3: %s", error)

    # A thread, since a call that hangs must not keep the failure from being reported.
    thread = threading.Thread(target=upload, name="salvage", daemon=True)
    thread.start()
    thread.join(_SALVAGE_SECONDS)


def _write_results(attempt: Attempt, failure: Failure) -> None:
    try:
        write_results(
            attempt.directory,
            attempt.spec,
            attempts=attempt.number,
            started_at=attempt.started_at,
            outcome=failure,
        )
    except OSError as error:
        # Of all places to fail, a full disk is where there is most to salvage.
        logger.warning("%s of the failed attempt cannot be written: %s", RESULTS, error)


def _upload(attempt: Attempt, name: str, path: Path) -> None:
    try:
        attempt.uploader.upload_once(name, path)
    except (ArtifactError, OSError) as error:
        logger.warning("%s of the failed attempt is not in S3: %s", name, error)
