"""Bring files to S3 and make sure that they arrived."""

from __future__ import annotations

import base64
import hashlib
import logging
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from container.runner.retry import AWS_ERRORS, RETRY_SECONDS, retrying
from container.runner.stop import StopRequest
from gaitway.contracts.artifacts import MANIFEST, Manifest, ManifestEntry
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.model import S3Uri

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

PART_BYTES = 64 * 2**20
"""Files of this size and more are uploaded in parts of it."""
_READ_BYTES = 2**20
_NO_FILE = (-1, -1)
"""Size and time of a file that is not there."""
_NOT_THERE = frozenset({"403", "404"})
"""S3 answers 403 for a missing object to a role that may not list the bucket."""


@dataclass(frozen=True)
class Digest:
    """What identifies a file's content."""

    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""
    s3_checksum: str
    """As S3 states it: of an object in parts, the checksum of the parts' checksums, and their number.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html."""


class Uploader:
    """Uploads below one prefix, and remembers what is there.

    Args:
        s3: An S3 client.
        destination: The run's prefix.
        stop: Ends waiting between attempts.
        on_upload: Called after each file that arrived.
        retry_seconds: For how long a file is tried.
        part_bytes: Files of this size and more are uploaded in parts of it; at least 5 MiB.
    """

    def __init__(
        self,
        s3: S3Client,
        destination: S3Uri,
        stop: StopRequest,
        on_upload: Callable[[], None],
        *,
        retry_seconds: float = RETRY_SECONDS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._s3 = s3
        self._destination = destination
        self._stop = stop
        self._on_upload = on_upload
        self._retry_seconds = retry_seconds
        self._part_bytes = part_bytes
        self._uploaded: dict[str, tuple[tuple[int, int], ManifestEntry]] = {}

    def upload(self, name: str, path: Path) -> None:
        """Upload a file unless it is there already, trying again for some minutes.

        Args:
            name: Relative to the run's prefix.
            path: The file; it may be replaced by a newer one at any time.

        Raises:
            ArtifactError: It could not be brought to S3, or what arrived is something else.
        """
        try:
            retrying((*AWS_ERRORS, ArtifactError), self._stop.sleep, self._retry_seconds)(self._upload, name, path)
        except AWS_ERRORS as error:
            raise _not_uploaded(self._destination / name, error) from error

    def upload_once(self, name: str, path: Path) -> ManifestEntry:
        """Upload a file unless it is there already, in a single attempt.

        Returns:
            What S3 holds.

        Raises:
            ArtifactError: It could not be brought to S3, or what arrived is something else.
        """
        try:
            return self._upload(name, path)
        except AWS_ERRORS as error:
            raise _not_uploaded(self._destination / name, error) from error

    def remember(self, entry: ManifestEntry) -> None:
        """Take over what an earlier attempt uploaded; a file of that name is uploaded nevertheless."""
        self._uploaded.setdefault(entry.path, (_NO_FILE, entry))

    def manifest(self, run_id: str) -> Manifest:
        """List everything that was uploaded."""
        entries = [entry for name, (_, entry) in sorted(self._uploaded.items()) if name != MANIFEST]
        return Manifest(run_id=run_id, created_at=datetime.now(UTC), files=entries)

    def _upload(self, name: str, path: Path) -> ManifestEntry:
        status = path.stat()
        version = (status.st_size, status.st_mtime_ns)
        if name in self._uploaded and self._uploaded[name][0] == version:
            return self._uploaded[name][1]
        target = self._destination / name
        digest = digest_of(path, self._part_bytes)
        if not self._holds(target, digest):
            self._put(path, target)
            if not self._holds(target, digest):
                raise ArtifactError(f"{target} differs from the file that was uploaded: {path.name}")
            logger.info("uploaded %s, %d bytes", name, digest.size)
        entry = ManifestEntry(path=name, size=digest.size, sha256=digest.sha256)
        self._uploaded[name] = (version, entry)
        self._on_upload()
        return entry

    def _put(self, path: Path, target: S3Uri) -> None:
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._s3.upload_file(
            str(path),
            target.bucket,
            target.key,
            # S3 refuses a body, or a part of one, that differs from its checksum.
            ExtraArgs={"ChecksumAlgorithm": "SHA256", "ContentType": content_type},
            Config=TransferConfig(multipart_threshold=self._part_bytes, multipart_chunksize=self._part_bytes),
        )

    def _holds(self, target: S3Uri, digest: Digest) -> bool:
        """Tell whether S3 holds this very content."""
        try:
            head = self._s3.head_object(Bucket=target.bucket, Key=target.key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return False
            raise
        return head["ContentLength"] == digest.size and head.get("ChecksumSHA256") == digest.s3_checksum


def digest_of(path: Path, part_bytes: int = PART_BYTES) -> Digest:
    """Read a file once and compute its digests.

    Args:
        path: The file.
        part_bytes: Files of this size and more are uploaded in parts of it.
    """
    whole = hashlib.sha256()
    parts: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        part = hashlib.sha256()
        left_in_part = part_bytes
        while chunk := file.read(min(_READ_BYTES, left_in_part)):
            whole.update(chunk)
            part.update(chunk)
            size += len(chunk)
            left_in_part -= len(chunk)
            if left_in_part == 0:
                parts.append(part.digest())
                part, left_in_part = hashlib.sha256(), part_bytes
        if left_in_part < part_bytes:
            parts.append(part.digest())
    if size < part_bytes:
        checksum = _base64(whole.digest())
    else:
        checksum = f"{_base64(hashlib.sha256(b''.join(parts)).digest())}-{len(parts)}"
    return Digest(size, whole.hexdigest(), checksum)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _not_uploaded(target: S3Uri, error: Exception) -> ArtifactError:
    return ArtifactError(f"{target} could not be uploaded: {error}; the file is still on EFS, in the run's directory")
