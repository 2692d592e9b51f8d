"""Upload what there is of a failed attempt, for as long as a job that is being ended has time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from container.runner.attempt import Attempt
from container.runner.gpus import merge_usage
from container.runner.results import write_results
from gaitway.contracts.artifacts import METRICS, REPORT, RESULTS, Results
from gaitway.contracts.errors import ArtifactError, Failure
from gaitway.outputs.files import outputs, remains
from gaitway.outputs.report import write_report

logger = logging.getLogger(__name__)

_SALVAGE_SECONDS = 10.0
"""AWS Batch ends a job 30 seconds after its SIGTERM; the simulator's own end takes up to 10 of them."""
_UNHURRIED_SECONDS = 60.0
"""Where nobody ends the job; its caller waits."""


def salvage(attempt: Attempt, failure: Failure | None) -> None:
    """Upload every output that is there. What does not arrive fails nothing: it is still on EFS.

    Args:
        attempt: What failed.
        failure: The run's outcome, for its results; None where another attempt follows.
    """

    def upload() -> None:
        try:
            if failure is None:
                # What follows makes its metrics.csv, results and report itself.
                _upload_all(attempt, dict(outputs(attempt.directory, attempt.spec.training)))
            else:
                _upload_failed(attempt, failure)
        except OSError as error:
            logger.warning("not everything of the failed attempt is in S3: %s", error)

    # A thread, since a call that hangs must not keep the failure from being reported.
    thread = threading.Thread(target=upload, name="salvage", daemon=True)
    thread.start()
    thread.join(_SALVAGE_SECONDS if attempt.stop.is_requested else _UNHURRIED_SECONDS)


def _upload_failed(attempt: Attempt, failure: Failure) -> None:
    """Upload the cause, then what there is, and last what is made of it."""
    directory, training = attempt.directory, attempt.spec.training
    told_by_another = attempt.record.failure()
    results = _write_results(attempt, told_by_another or failure)
    _upload(attempt, RESULTS, directory / RESULTS)
    merge_usage(directory)
    _upload_all(attempt, dict(remains(directory, training)))
    if training.mode == "train" and not (directory / METRICS).exists() and _write_metrics(attempt):
        _upload(attempt, METRICS, directory / METRICS)
    if results is None or told_by_another is not None:
        # Whoever has ended the run writes its report, which lists what is in S3 in the end.
        return
    files = dict(remains(directory, training))
    if write_report(directory / REPORT, directory, results, files, attempt.uploader.entries):
        _upload(attempt, REPORT, directory / REPORT)


def _write_results(attempt: Attempt, failure: Failure) -> Results | None:
    try:
        return write_results(
            attempt.directory,
            attempt.spec,
            attempts=attempt.number,
            started_at=attempt.started_at,
            outcome=failure,
            cost=attempt.history.cost,
            history=attempt.history.so_far(outcome=failure.error),
        )
    except OSError as error:
        # Of all places to fail, a full disk is where there is most to salvage.
        logger.warning("%s of the failed attempt cannot be written: %s", RESULTS, error)
        return None


def _write_metrics(attempt: Attempt) -> bool:
    """Write metrics.csv as far as there are events; tell whether there were any."""
    # pandas takes half a second to import.
    from container.runner.metrics import read_metrics

    try:
        metrics = read_metrics(attempt.directory, attempt.spec.training.rl_library)
        if metrics.empty:
            return False
        metrics.to_csv(attempt.directory / METRICS)
    except Exception:
        # Whatever a run that failed has logged: it is in S3 as it is.
        logger.exception("%s of the failed attempt cannot be written", METRICS)
        return False
    return True


def _upload_all(attempt: Attempt, files: Mapping[str, Path]) -> None:
    for name, path in files.items():
        _upload(attempt, name, path)


def _upload(attempt: Attempt, name: str, path: Path) -> None:
    try:
        attempt.uploader.upload_once(name, path)
    except (ArtifactError, OSError) as error:
        logger.warning("%s of the failed attempt is not in S3: %s", name, error)
