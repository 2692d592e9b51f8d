"""Bring to S3 what a failed run left on EFS, for as long as there is time."""

from __future__ import annotations

import fcntl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import LOCK_FILE, REPORT, RESULTS, Results, run_directory
from gaitway.contracts.errors import ArtifactError, Failure
from gaitway.contracts.run import RunRecord, RunSpec
from gaitway.outputs.checkpoint_log import CheckpointLog
from gaitway.outputs.files import remains
from gaitway.outputs.history import read_history, total_cost
from gaitway.outputs.report import write_report
from gaitway.outputs.results import results_of, write_json
from gaitway.outputs.upload import Uploader
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

RUNNER_SECONDS = 20.0
"""How long a runner that was told to stop is waited for: it ends its simulator within 10 seconds."""
_LOCK_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
"""Before what S3 refused is tried again."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, as its record tells."""

    record: RunRecord
    spec: RunSpec
    failure: Failure

    @classmethod
    def of(cls, record: RunRecord) -> Self | None:
        """Take what is needed out of a record; None where the run never came as far as having outputs."""
        if record.spec is None or record.failure is None:
            return None
        return cls(record, record.spec, record.failure)


class _NotWantedError(Exception):
    """There is no time left, or the run belongs to somebody else by now."""


class Salvage:
    """Uploads from a thread of its own while it is entered: neither S3 nor EFS may keep the caller from being told.

    EFS is only read. Doing it all again uploads nothing that S3 holds already; nor does a runner that is ending, and
    uploads the same files at the same time, do any harm.

    Args:
        run: What failed.
        s3: An S3 client that gives up early.
        efs_root: Where EFS is mounted.
        is_wanted: Tells, before each file, whether the run still belongs to the execution that failed.
        runner_seconds: How long the runner is waited for.
    """

    def __init__(
        self,
        run: FailedRun,
        s3: S3Client,
        efs_root: Path,
        is_wanted: Callable[[], bool],
        *,
        runner_seconds: float = RUNNER_SECONDS,
    ) -> None:
        self._run = run
        self._s3 = s3
        self._directory = run_directory(efs_root, run.spec.run_id)
        self._is_wanted = is_wanted
        self._runner_seconds = runner_seconds
        self._uploader = Uploader(s3, run.spec.output_files)
        self._files: dict[str, Path] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="salvage", daemon=True)
        self.is_complete = False
        """Whether S3 holds all that there is, and the results tell so; or somebody else sees to it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()

    def wait(self, seconds: float) -> None:
        """Wait until it is complete, but no longer than this."""
        self._thread.join(max(0.0, seconds))

    def _work(self) -> None:
        try:
            self._remember_checkpoints()
            if not self._has_results():
                # At once, and completed later: the cause is worth most.
                self._put_results()
            self._bring()
            self._wait_for_runner()
            while not self._bring():
                self._pause(_PAUSE_SECONDS)
            self.is_complete = True
        except _NotWantedError:
            self.is_complete = not self._closed.is_set()
        except Exception:
            # In a thread, nobody else would ever hear of it.
            logger.exception("%s: salvage ended early", self._run.spec.run_id)

    def _remember_checkpoints(self) -> None:
        """Take over what the runner uploaded, of which not everything is on EFS any more."""
        try:
            uploaded = CheckpointLog(self._directory).entries
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("what was uploaded before cannot be read: %s", error)
            return
        for entry in uploaded:
            self._uploader.remember(entry)

    def _bring(self) -> bool:
        """Upload what there is, and then what tells of it; tell whether everything arrived."""
        # Each one is tried, whatever became of the one before.
        return all([self._upload(), self._put_report(), self._put_results()])

    def _upload(self) -> bool:
        """Upload what S3 does not hold yet; tell whether it holds everything now."""
        try:
            # Of several with one name the last one counts, as in a run that succeeds.
            self._files = dict(remains(self._directory, self._run.spec.training))
        except OSError as error:
            logger.warning("the run's directory cannot be listed: %s", error)
            return False
        # Each one is tried, whatever became of the one before.
        arrived = [self._upload_file(name, path) for name, path in self._files.items()]
        return all(arrived)

    def _upload_file(self, name: str, path: Path) -> bool:
        self._check()
        try:
            self._uploader.upload_once(name, path)
        except FileNotFoundError:
            # An attempt that ends clears up after itself.
            logger.info("%s has gone meanwhile", name)
        except (ArtifactError, OSError) as error:
            logger.warning("%s is not in S3: %s", name, error)
            return False
        return True

    def _put_report(self) -> bool:
        """Write the page that tells people what became of the run; tell whether it arrived, if there is one."""
        results = self._results()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, REPORT)
            if write_report(path, self._directory, results, self._files, results.files or []):
                return self._upload_file(REPORT, path)
        return True

    def _put_results(self) -> bool:
        """Write the results with what S3 holds so far; tell whether they arrived."""
        # Not on EFS, which may be full.
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, RESULTS)
            write_json(path, self._results())
            return self._upload_file(RESULTS, path)

    def _results(self) -> Results:
        """Tell what came of the run, with what S3 holds so far."""
        record = self._run.record
        history = read_history(self._directory)
        return results_of(
            self._run.spec,
            attempts=record.attempts or 0,
            started_at=record.started_at,
            ended_at=record.ended_at or record.updated_at,
            outcome=self._run.failure,
            cost=total_cost(history, record.cost),
            history=history,
            files=[entry for entry in self._uploader.entries if entry.path != RESULTS],
        )

    def _has_results(self) -> bool:
        """Tell whether S3 holds results with this very cause."""
        target = self._run.spec.output_files / RESULTS
        try:
            body = self._s3.get_object(Bucket=target.bucket, Key=target.key)["Body"].read()
        except AWS_ERRORS:
            return False
        try:
            return Results.model_validate_json(body).failure == self._run.failure
        except ValidationError:
            return False

    def _wait_for_runner(self) -> None:
        """Wait for the end of a runner that was told to stop; what it leaves last is uploaded after that."""
        give_up_at = time.monotonic() + self._runner_seconds
        while self._is_locked():
            if time.monotonic() >= give_up_at:
                logger.warning("%s: the runner does not let go of its directory", self._run.spec.run_id)
                return
            self._pause(_LOCK_POLL_SECONDS)

    def _is_locked(self) -> bool:
        try:
            with (self._directory / LOCK_FILE).open("rb") as file:
                # Shared, for which a file that can only be read is enough; closing it lets go.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            # Nobody was ever at work here, or EFS does not tell.
            return False
        return False

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)
        self._check()

    def _check(self) -> None:
        if self._closed.is_set() or not self._is_wanted():
            raise _NotWantedError
