"""What identifies a file's content, here and in S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

_READ_BYTES = 2**20


@dataclass(frozen=True)
class Digest:
    """The checksum of a file."""

    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""
    s3_checksum: str
    """The checksum in S3's form: for an object in parts, the checksum of the parts' checksums, and their number.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html."""


def digest_of(file: IO[bytes], part_bytes: int) -> Digest:
    """Read a file to its end and compute its digests.

    Args:
        file: The file, at its beginning.
        part_bytes: Files of this size and more are uploaded in parts of it.
    """
    whole, size = hashlib.sha256(), 0
    parts: list[bytes] = []
    part, left_in_part = hashlib.sha256(), part_bytes
    while chunk := file.read(min(_READ_BYTES, left_in_part)):
        whole.update(chunk)
        part.update(chunk)
        size += len(chunk)
        left_in_part -= len(chunk)
        if left_in_part == 0:
            parts.append(part.digest())
            part, left_in_part = hashlib.sha256(), part_bytes
    if size < part_bytes:
        return Digest(size, whole.hexdigest(), checksum(whole.digest()))
    if left_in_part < part_bytes:
        parts.append(part.digest())
    return Digest(size, whole.hexdigest(), checksum_of_parts(parts))


def checksum(digest: bytes) -> str:
    """Write a digest as S3 does."""
    return base64.b64encode(digest).decode()


def checksum_of_parts(digests: Sequence[bytes]) -> str:
    """Return the checksum that S3 reports for an object whose parts have these digests."""
    return f"{checksum(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"
