"""What a run left is fetched whole, although somebody may still be at it."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gaitway.client.files import RunFiles
from gaitway.contracts.artifacts import REPORT, RESULTS, ManifestEntry, Results
from gaitway.contracts.errors import ArtifactError, Failure
from gaitway.contracts.model import S3Uri
from gaitway.local.launcher import LocalSession
from tests.local.emulator import Emulator


class FailedRun:
    """A run whose outputs are written by hand."""

    def __init__(self, emulator: Emulator) -> None:
        self.session = LocalSession(emulator.endpoint_url)
        self._s3 = emulator.client("s3")
        self.outputs = S3Uri(f"bucket-{uuid.uuid4().hex[:12]}", "runs/1/")
        self._s3.create_bucket(Bucket=self.outputs.bucket)

    def put(self, name: str, body: bytes) -> None:
        target = self.outputs / name
        self._s3.put_object(Bucket=target.bucket, Key=target.key, Body=body)

    def list_report(self, body: bytes) -> None:
        self.list_files([ManifestEntry(path=REPORT, size=len(body), sha256=hashlib.sha256(body).hexdigest())])

    def list_files(self, files: list[ManifestEntry] | None) -> None:
        results = Results(
            run_id="run-1",
            status="failed",
            mode="train",
            task="Isaac-Ant-v0",
            rl_library="rsl_rl",
            attempts=1,
            ended_at=datetime.now(UTC),
            failure=Failure(error="CancelledError", cause="somebody stopped the run", retryable=False),
            files=files,
        )
        self.put(RESULTS, results.model_dump_json(by_alias=True).encode())


@pytest.fixture
def run(emulator: Emulator) -> FailedRun:
    return FailedRun(emulator)


def test_a_file_that_is_written_anew_meanwhile_is_fetched_as_the_newer_results_list_it(
    run: FailedRun, tmp_path: Path
) -> None:
    run.list_report(b"the first page")
    run.put(REPORT, b"the page of all that there is")

    calls: list[str] = []

    def complete(**_: object) -> None:
        # The results are asked for first, and then the report.
        calls.append("")
        if len(calls) == 2:
            run.list_report(b"the page of all that there is")

    run.session.events.register("before-call.s3.HeadObject", complete)

    RunFiles(run.session, settle_seconds=0.5).fetch_failed(run.outputs, tmp_path)

    assert (tmp_path / REPORT).read_bytes() == b"the page of all that there is"


def test_files_that_are_still_uploaded_are_waited_for(run: FailedRun, tmp_path: Path) -> None:
    run.list_files(None)
    run.put(REPORT, b"the page")
    calls: list[str] = []

    def complete(**_: object) -> None:
        calls.append("")
        if len(calls) == 2:
            run.list_report(b"the page")

    run.session.events.register("before-call.s3.HeadObject", complete)

    [entry] = RunFiles(run.session, settle_seconds=0.5).fetch_failed(run.outputs, tmp_path)

    assert (tmp_path / entry.path).read_bytes() == b"the page"


def test_files_that_are_never_listed_are_an_error(run: FailedRun, tmp_path: Path) -> None:
    run.list_files(None)
    with pytest.raises(ArtifactError, match="does not list the run's files yet"):
        RunFiles(run.session, settle_seconds=0.5).fetch_failed(run.outputs, tmp_path)


def test_a_file_that_stays_something_else_than_listed_is_an_error(run: FailedRun, tmp_path: Path) -> None:
    run.list_report(b"the first page")
    run.put(REPORT, b"another one")
    with pytest.raises(ArtifactError, match="differs from what"):
        RunFiles(run.session, settle_seconds=0.5).fetch_failed(run.outputs, tmp_path)
