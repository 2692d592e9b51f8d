"""Upload the files of a failed run to its outputs in S3, as far as there is time."""

from __future__ import annotations

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
from gaitway.contracts.artifacts import REPORT, RESULTS, Results
from gaitway.contracts.errors import ArtifactError, Failure, RunRefusedError
from gaitway.contracts.limits import ENDING_RUNNER_SECONDS
from gaitway.contracts.run import RunRecord, RunSpec
from gaitway.outputs.checkpoint_log import CheckpointLog
from gaitway.outputs.files import remains
from gaitway.outputs.history import read_history, total_cost
from gaitway.outputs.report_file import write_report
from gaitway.outputs.results import read_ran_with, results_of, write_json
from gaitway.outputs.upload import Uploader
from lambdas.handle_failure.run_files import RunFiles
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_LOCK_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
"""Before a failed upload is tried again."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, from its record."""

    record: RunRecord
    spec: RunSpec
    failure: Failure

    @classmethod
    def of(cls, record: RunRecord) -> Self | None:
        """Read it from a record; None if the run ended before it had outputs."""
        if record.spec is None or record.failure is None:
            return None
        return cls(record, record.spec, record.failure)


class _NotWantedError(Exception):
    """There is no time left, or the run now belongs to another execution."""


class Salvage:
    """Uploads in its own thread while it is entered: neither S3 nor EFS may delay the answer to the caller.

    What the run left is only read. Repeating it uploads nothing that S3 holds already; and a runner that is ending and
    uploads the same files at the same time does no harm.

    Args:
        run: The failed run.
        s3: An S3 client that gives up early.
        files: What it left.
        is_wanted: Returns, before each file that is written, whether the run still belongs to the failed execution.
        runner_seconds: How long to wait for the runner.
    """

    def __init__(
        self,
        run: FailedRun,
        s3: S3Client,
        files: RunFiles,
        is_wanted: Callable[[], bool],
        *,
        runner_seconds: float = ENDING_RUNNER_SECONDS,
    ) -> None:
        self._run = run
        self._s3 = s3
        self._left = files
        self._directory = files.directory
        self._is_wanted = is_wanted
        self._runner_seconds = runner_seconds
        self._uploader = Uploader(s3, run.spec.output_files, self._may_write)
        self._files: dict[str, Path] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="salvage", daemon=True)
        self.is_complete = False
        """Whether S3 holds all files, and the results list them; or another writer is responsible."""

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
                # At once, for the cause matters most; its files are listed when they have been uploaded.
                self._put_results(with_files=False)
            self._bring()
            self._wait_for_runner()
            while not self._bring():
                self._pause(_PAUSE_SECONDS)
            self.is_complete = True
        except _NotWantedError:
            self.is_complete = not self._closed.is_set()
        except Exception:
            # An exception in a thread would be lost.
            logger.exception("%s: salvage ended early", self._run.spec.run_id)
        finally:
            self._left.close()

    def _remember_checkpoints(self) -> None:
        """Add the files that the runner has uploaded, because not all of them are still in the directory."""
        try:
            uploaded = CheckpointLog(self._directory).entries
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("what was uploaded before cannot be read: %s", error)
            return
        for entry in uploaded:
            self._uploader.remember(entry)

    def _bring(self) -> bool:
        """Upload the files, and then results and report; return whether everything arrived."""
        # Each one is tried, even if the one before failed.
        return all([self._upload(), self._put_report(), self._put_results()])

    def _upload(self) -> bool:
        """Upload what S3 does not hold yet; return whether it holds everything now."""
        try:
            self._left.refresh()
            self._remember_checkpoints()
            # Of several with one name the last one counts, as in a run that succeeds.
            self._files = dict(remains(self._directory, self._run.spec.training, self._run.spec.refused_suffixes))
        except OSError as error:
            logger.warning("the run's directory cannot be read: %s", error)
            return False
        # Each one is tried, even if the one before failed.
        arrived = [self._upload_file(name, path) for name, path in self._files.items()]
        return all(arrived)

    def _upload_file(self, name: str, path: Path) -> bool:
        if self._closed.is_set():
            raise _NotWantedError
        try:
            self._uploader.upload_once(name, path)
        except RunRefusedError:
            raise _NotWantedError from None
        except FileNotFoundError:
            # An attempt that ends clears up after itself.
            logger.info("%s was deleted meanwhile", name)
        except (ArtifactError, OSError) as error:
            logger.warning("%s is not in S3: %s", name, error)
            return False
        return True

    def _put_report(self) -> bool:
        """Write the report of the run; return whether it arrived, if there is one."""
        results = self._results()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, REPORT)
            if write_report(path, self._directory, results, self._files, results.files or []):
                return self._upload_file(REPORT, path)
        return True

    def _put_results(self, *, with_files: bool = True) -> bool:
        """Write the results, with the files that S3 holds so far; return whether they arrived."""
        results = self._results()
        # Not on EFS, which may be full.
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, RESULTS)
            write_json(path, results if with_files else results.model_copy(update={"files": None}))
            return self._upload_file(RESULTS, path)

    def _results(self) -> Results:
        """Build the results, with what S3 holds so far."""
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
            # The runner may have been lost before it noted that.
            ran_with=read_ran_with(self._directory) or record.ran_with,
            files=[entry for entry in self._uploader.entries if entry.path != RESULTS],
        )

    def _has_results(self) -> bool:
        """Return whether S3 holds results with exactly this cause."""
        target = self._run.spec.output_files / RESULTS
        try:
            body = self._s3.get_object(Bucket=target.bucket, Key=target.key)["Body"].read()
        except AWS_ERRORS:
            return False
        try:
            return Results.read(body).failure == self._run.failure
        except ValidationError:
            return False

    def _wait_for_runner(self) -> None:
        """Wait for the end of a runner that was asked to stop; its last files are uploaded after that."""
        give_up_at = time.monotonic() + self._runner_seconds
        while self._left.is_in_use():
            if time.monotonic() >= give_up_at:
                logger.warning("%s: the runner does not release its directory", self._run.spec.run_id)
                return
            self._pause(_LOCK_POLL_SECONDS)

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)
        if not self._may_write():
            raise _NotWantedError

    def _may_write(self) -> bool:
        return not self._closed.is_set() and self._is_wanted()
