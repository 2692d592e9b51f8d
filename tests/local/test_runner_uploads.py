"""What is uploaded is verified, and tried again when it is not what it should be."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gaitway.contracts.errors import ArtifactError, RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.results.checkpoint_uploads import CheckpointUploads
from gaitway.runner.results.upload import PatientUploader
from gaitway.runner.stop import StopRequest
from tests.local.emulator import Emulator
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, write_checkpoint

_MEBIBYTE = 2**20


class Bucket:
    """A bucket, a client, and a count of the objects that the client wrote."""

    def __init__(self, emulator: Emulator) -> None:
        self.s3 = emulator.client("s3")
        self.name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.writes = 0
        self.s3.meta.events.register("before-call.s3.PutObject", self._count)

    def uploader(self, may_write: Callable[[], bool] = lambda: True, **options: Any) -> PatientUploader:
        destination = S3Uri(self.name, "runs/1/")
        return PatientUploader(
            self.s3, destination, may_write, StopRequest(), lambda: None, **{"retry_seconds": 0.5} | options
        )

    def read(self, name: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.name, Key=f"runs/1/{name}")["Body"].read()
        return body

    def _count(self, **_: object) -> None:
        self.writes += 1


@pytest.fixture
def bucket(emulator: Emulator) -> Bucket:
    bucket = Bucket(emulator)
    bucket.s3.create_bucket(Bucket=bucket.name)
    return bucket


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model_1.pt"
    path.write_bytes(b"weights")
    return path


def test_an_upload_is_listed_with_size_and_digest(bucket: Bucket, file: Path) -> None:
    uploader = bucket.uploader()

    uploader.upload("checkpoints/model_1.pt", file)

    (entry,) = uploader.manifest("run-1").files
    assert (entry.path, entry.size) == ("checkpoints/model_1.pt", 7)
    assert entry.sha256 == hashlib.sha256(b"weights").hexdigest()
    stored = bucket.s3.get_object(Bucket=bucket.name, Key="runs/1/checkpoints/model_1.pt")
    assert stored["Body"].read() == b"weights"


def test_a_large_file_is_uploaded_in_parts_and_verified_as_a_whole(bucket: Bucket, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(range(256)) * (11 * _MEBIBYTE // 256))
    uploader = bucket.uploader(part_bytes=5 * _MEBIBYTE)

    uploader.upload("large.bin", large)

    head = bucket.s3.head_object(Bucket=bucket.name, Key="runs/1/large.bin", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"].endswith("-3")
    assert uploader.manifest("run-1").files[0].sha256 == hashlib.sha256(large.read_bytes()).hexdigest()


def test_a_file_is_uploaded_again_only_when_it_changed(bucket: Bucket, file: Path) -> None:
    uploader = bucket.uploader()
    uploader.upload("model_1.pt", file)
    uploader.upload("model_1.pt", file)
    assert bucket.writes == 1

    file.write_bytes(b"more weights")
    uploader.upload("model_1.pt", file)

    assert bucket.writes == 2
    assert uploader.manifest("run-1").files[0].size == len(b"more weights")


def test_what_an_earlier_attempt_uploaded_is_not_uploaded_again(bucket: Bucket, file: Path) -> None:
    bucket.uploader().upload("model_1.pt", file)
    second_attempt = bucket.uploader()

    second_attempt.upload("model_1.pt", file)

    assert bucket.writes == 1
    assert len(second_attempt.manifest("run-1").files) == 1


def test_an_object_that_differs_from_its_file_is_uploaded_again(bucket: Bucket, file: Path) -> None:
    # The first question finds nothing there yet, the second one comes after the upload.
    answers: Iterator[dict[str, int]] = iter([{}, {"ContentLength": 3}])

    def falsify(parsed: dict[str, Any], **_: object) -> None:
        parsed.update(next(answers, {}))

    bucket.s3.meta.events.register("after-call.s3.HeadObject", falsify)

    bucket.uploader(retry_seconds=5).upload("model_1.pt", file)

    assert bucket.s3.head_object(Bucket=bucket.name, Key="runs/1/model_1.pt")["ContentLength"] == 7


def test_an_object_that_keeps_differing_fails(bucket: Bucket, file: Path) -> None:
    bucket.s3.meta.events.register("after-call.s3.HeadObject", lambda parsed, **_: parsed.update(ContentLength=3))

    with pytest.raises(ArtifactError, match="differs"):
        bucket.uploader().upload("model_1.pt", file)


def test_an_upload_that_fails_for_good_leaves_the_file(emulator: Emulator, file: Path) -> None:
    with pytest.raises(ArtifactError, match=r"NoSuchBucket(?s:.)*still on EFS"):
        Bucket(emulator).uploader().upload("model_1.pt", file)

    assert file.read_bytes() == b"weights"


def test_checkpoints_are_uploaded_as_they_appear_and_only_uploaded_ones_leave_efs(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for iteration in range(0, 60, 10):
        write_checkpoint(iteration)
    refused = "runs/1/checkpoints/model_10.pt"
    bucket.s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: _refuse(refused, params))
    rewards = {1: 1.0, 21: 9.0, 51: 5.0}
    uploads = CheckpointUploads(tmp_path, TrainingConfig(), bucket.uploader(), rewards.get)

    uploads.look()

    # The first one needed not stay, the second one S3 does not hold, the third one was the best.
    assert sorted(path.name for path in LOG_DIRECTORY.glob("*.pt")) == [f"model_{n}.pt" for n in (10, 20, 30, 40, 50)]
    listing = bucket.s3.list_objects_v2(Bucket=bucket.name, Prefix="runs/1/checkpoints/")["Contents"]
    assert {item["Key"].rpartition("_")[2] for item in listing} == {f"{n}.pt" for n in (0, 20, 30, 40, 50)}


def test_the_manifest_lists_what_earlier_attempts_uploaded_and_removed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for iteration in range(0, 50, 10):
        write_checkpoint(iteration)
    CheckpointUploads(tmp_path, TrainingConfig(), bucket.uploader(), lambda _: None).look()
    assert not (LOG_DIRECTORY / "model_0.pt").exists()

    uploader = bucket.uploader()
    CheckpointUploads(tmp_path, TrainingConfig(), uploader, lambda _: None).look()

    assert [entry.path for entry in uploader.manifest("run-1").files] == [
        f"checkpoints/model_{n}.pt" for n in (0, 10, 20, 30, 40)
    ]


def _refuse(key: str, params: dict[str, Any]) -> None:
    if params["url_path"].endswith(key):
        raise EndpointConnectionError(endpoint_url=key)


@pytest.mark.parametrize("size", [7, 6 * _MEBIBYTE], ids=["whole", "in parts"])
def test_nothing_is_written_for_a_run_that_is_not_ones_own_any_more(bucket: Bucket, tmp_path: Path, size: int) -> None:
    file = tmp_path / "model_1.pt"
    file.write_bytes(b"w" * size)

    with pytest.raises(RunRefusedError):
        bucket.uploader(lambda: False, part_bytes=5 * _MEBIBYTE).upload("model_1.pt", file)

    assert "Contents" not in bucket.s3.list_objects_v2(Bucket=bucket.name)


@pytest.mark.parametrize("size", [7, 6 * _MEBIBYTE], ids=["whole", "in parts"])
@pytest.mark.parametrize("before", [None, b"older"], ids=["nothing was there", "something was there"])
def test_what_another_writes_in_the_same_moment_is_never_written_over(
    bucket: Bucket, emulator: Emulator, tmp_path: Path, size: int, before: bytes | None
) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(b"w" * size)
    other = emulator.client("s3")
    if before is not None:
        other.put_object(Bucket=bucket.name, Key="runs/1/results.json", Body=before)
    asked = 0

    def may_write() -> bool:
        """Say yes, as long as the run is ours; and while the request is on its way, it goes to another, who writes."""
        nonlocal asked
        asked += 1
        if asked == 1:
            other.put_object(Bucket=bucket.name, Key="runs/1/results.json", Body=b"the newer attempt's")
        return asked == 1

    with pytest.raises(RunRefusedError):
        bucket.uploader(may_write, retry_seconds=10, part_bytes=5 * _MEBIBYTE).upload("results.json", file)

    assert asked == 2
    assert bucket.read("results.json") == b"the newer attempt's"


def test_an_upload_whose_answer_was_lost_is_found_where_it_is(bucket: Bucket, file: Path) -> None:
    uploader = bucket.uploader(retry_seconds=10)
    lost: list[bool] = []

    def lose_answer(**_: object) -> None:
        if not lost:
            lost.append(True)
            raise EndpointConnectionError(endpoint_url="https://s3")

    bucket.s3.meta.events.register("after-call.s3.PutObject", lose_answer)

    uploader.upload("model_1.pt", file)

    assert (lost, bucket.writes) == ([True], 1)
