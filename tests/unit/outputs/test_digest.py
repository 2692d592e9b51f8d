"""A file's digests are those that S3 computes."""

import base64
import hashlib
from pathlib import Path

from gaitway.outputs.digest import Digest, digest_of

PART_BYTES = 1000


def digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return digest_of(file, PART_BYTES)


def test_the_digest_of_a_small_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 999)

    found = digest(file)

    assert found.size == 999
    assert found.sha256 == hashlib.sha256(b"x" * 999).hexdigest()
    assert found.s3_checksum == base64.b64encode(bytes.fromhex(found.sha256)).decode()


def test_the_checksum_of_a_file_in_parts_is_that_of_its_parts_checksums(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2500)

    found = digest(file)

    parts = b"".join(hashlib.sha256(b"x" * size).digest() for size in (1000, 1000, 500))
    assert found.s3_checksum == f"{base64.b64encode(hashlib.sha256(parts).digest()).decode()}-3"
    assert found.sha256 == hashlib.sha256(b"x" * 2500).hexdigest()


def test_a_file_of_exactly_one_part_is_uploaded_as_one_part(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * PART_BYTES)

    assert digest(file).s3_checksum.endswith("-1")


def test_an_empty_file_has_a_digest_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert digest(file).sha256 == hashlib.sha256(b"").hexdigest()
