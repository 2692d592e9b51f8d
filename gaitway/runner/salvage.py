"""Upload the outputs of a failed attempt, within the time left to a job that is being ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from gaitway.contracts.artifacts import METRICS, REPORT, RESULTS, Results
from gaitway.contracts.errors import ArtifactError, Failure, RunRefusedError
from gaitway.contracts.limits import FAILED_SALVAGE_SECONDS, STOPPED_SALVAGE_SECONDS
from gaitway.outputs.files import outputs, remains
from gaitway.outputs.report_file import write_report
from gaitway.runner.attempt import Attempt, Work
from gaitway.runner.reporting.gpus import merge_usage
from gaitway.runner.results.documents import write_results
from gaitway.runner.results.upload import PatientUploader

logger = logging.getLogger(__name__)


def salvage(attempt: Attempt, failure: Failure | None) -> None:
    """Upload every existing output. A failed upload is no error: the file is still on EFS.

    Args:
        attempt: The attempt that failed.
        failure: The run's outcome, for its results; None if another attempt follows.
    """
    work, standing = attempt.work, attempt.standing

    def upload() -> None:
        try:
            if failure is None:
                # The next attempt makes its own metrics.csv, results and report.
                _upload_all(
                    attempt.reports.uploader,
                    dict(outputs(work.directory, work.spec.training, work.spec.refused_suffixes)),
                )
            else:
                _upload_failed(attempt, failure)
        except (RunRefusedError, OSError) as error:
            logger.warning("not everything of the failed attempt is in S3: %s", error)

    standing.ownership.save_only()
    # In a thread, since a call that hangs must not delay the report of the failure.
    thread = threading.Thread(target=upload, name="salvage", daemon=True)
    thread.start()
    thread.join(STOPPED_SALVAGE_SECONDS if standing.stop.is_requested else FAILED_SALVAGE_SECONDS)
    # From now on the directory belongs to the next attempt, or to the function that ends the run.
    standing.ownership.end()


def _upload_failed(attempt: Attempt, failure: Failure) -> None:
    """Upload the cause, then the existing outputs, and last the documents made from them."""
    work, reports = attempt.work, attempt.reports
    directory, training = work.directory, work.spec.training
    told_by_another = reports.record.failure()
    results = _write_results(attempt, told_by_another or failure)
    _upload(reports.uploader, RESULTS, directory / RESULTS)
    merge_usage(directory)
    _upload_all(reports.uploader, dict(remains(directory, training, work.spec.refused_suffixes)))
    if _write_metrics(work):
        _upload(reports.uploader, METRICS, directory / METRICS)
    if results is None or told_by_another is not None:
        # The function that has ended the run writes its report, which lists what S3 holds at the end.
        return
    files = dict(remains(directory, training, work.spec.refused_suffixes))
    if write_report(directory / REPORT, directory, results, files, reports.uploader.entries):
        _upload(reports.uploader, REPORT, directory / REPORT)


def _write_results(attempt: Attempt, failure: Failure) -> Results | None:
    try:
        return write_results(
            attempt.work.directory,
            attempt.work.spec,
            attempts=attempt.work.number,
            started_at=attempt.work.started_at,
            outcome=failure,
            cost=attempt.standing.history.cost,
            history=attempt.standing.history.so_far(outcome=failure.error),
        )
    except OSError as error:
        # A full disk must not stop this: then there is most to salvage.
        logger.warning("%s of the failed attempt cannot be written: %s", RESULTS, error)
        return None


def _write_metrics(work: Work) -> bool:
    """Write metrics.csv from the existing data; return whether there was any."""
    try:
        return work.workload.write_metrics(work.directory, work.spec.training)
    except Exception:
        # A failed run's log may hold anything; it is in S3 unchanged.
        logger.exception("%s of the failed attempt cannot be written", METRICS)
        return False


def _upload_all(uploader: PatientUploader, files: Mapping[str, Path]) -> None:
    for name, path in files.items():
        _upload(uploader, name, path)


def _upload(uploader: PatientUploader, name: str, path: Path) -> None:
    try:
        uploader.upload_once(name, path)
    except (ArtifactError, OSError) as error:
        logger.warning("%s of the failed attempt is not in S3: %s", name, error)
