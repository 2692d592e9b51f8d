"""Upload files to S3, reading each once, and verify them.

Several writers may write a run's files: its attempts, and the function that salvages a failed one. So that none
overwrites what another has written since, each first reads what S3 holds, then checks that the run is still its own,
and S3 accepts the file only if it still holds the same:
docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. docs/idempotence.md has the whole argument.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import MANIFEST, Manifest, ManifestEntry
from gaitway.contracts.errors import ArtifactError, RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.outputs.content_types import content_type_of
from gaitway.outputs.digest import Digest, checksum, digest_of
from gaitway.outputs.parts import PART_BYTES, Condition, put_parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

logger = logging.getLogger(__name__)

_NO_FILE = (-1, -1)
"""Size and time of a file that does not exist."""
_NOT_THERE = frozenset({"403", "404"})
"""S3 answers 403 for a missing object to a role that may not list the bucket."""


class Uploader:
    """Uploads files below one prefix, and remembers what is there.

    Args:
        s3: An S3 client.
        destination: The run's prefix.
        may_write: Returns, before each file that is written, whether the run still belongs to the writer.
        on_upload: Called after each uploaded file.
        part_bytes: Files of this size and more are uploaded in parts of it; at least 5 MiB.
    """

    def __init__(
        self,
        s3: S3Client,
        destination: S3Uri,
        may_write: Callable[[], bool],
        on_upload: Callable[[], None] = lambda: None,
        *,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._s3 = s3
        self._destination = destination
        self._may_write = may_write
        self._on_upload = on_upload
        self._part_bytes = part_bytes
        self._uploaded: dict[str, tuple[tuple[int, int], ManifestEntry]] = {}

    def upload_once(self, name: str, path: Path) -> ManifestEntry:
        """Upload a file unless it is there already, in a single attempt.

        Args:
            name: Relative to the run's prefix.
            path: The file; it may be replaced by a newer one at any time.

        Returns:
            What S3 holds.

        Raises:
            ArtifactError: It could not be brought to S3, or what arrived is something else.
            RunRefusedError: The run has ended, or belongs to another attempt: nothing is written.
            OSError: It cannot be read.
        """
        try:
            return self._upload(name, path)
        except AWS_ERRORS as error:
            raise ArtifactError(
                f"{self._destination / name} could not be uploaded: {error}; the file is still on EFS, in the run's "
                "directory"
            ) from error

    def remember(self, entry: ManifestEntry) -> None:
        """Take over what an earlier attempt uploaded; a file of that name is uploaded nevertheless."""
        self._uploaded.setdefault(entry.path, (_NO_FILE, entry))

    @property
    def entries(self) -> list[ManifestEntry]:
        """What S3 holds, by name."""
        return [entry for _, (_, entry) in sorted(self._uploaded.items())]

    def manifest(self, run_id: str) -> Manifest:
        """List everything that was uploaded."""
        entries = [entry for entry in self.entries if entry.path != MANIFEST]
        return Manifest(run_id=run_id, created_at=datetime.now(UTC), files=entries)

    def _upload(self, name: str, path: Path) -> ManifestEntry:
        with path.open("rb") as file:
            # The size of the open file, not of another that may have its name now.
            status = os.fstat(file.fileno())
            version = (status.st_size, status.st_mtime_ns)
            if name in self._uploaded and self._uploaded[name][0] == version:
                return self._uploaded[name][1]
            target = self._destination / name
            held = self._head(target)
            digest = self._digest_of_held(held, file, status.st_size)
            if digest is None:
                # In this order: what is written after the answer changes what S3 holds.
                if not self._may_write():
                    raise RunRefusedError(
                        f"{target} is not written: the run has ended, or belongs to another attempt by now"
                    )
                digest = self._put(file, target, _unchanged(held))
                if not _is(digest, self._head(target)):
                    raise ArtifactError(f"{target} differs from the file that was uploaded: {path.name}")
                logger.info("uploaded %s, %d bytes", name, digest.size)
        entry = ManifestEntry(path=name, size=digest.size, sha256=digest.sha256)
        self._uploaded[name] = (version, entry)
        self._on_upload()
        return entry

    def _digest_of_held(self, head: HeadObjectOutputTypeDef | None, file: IO[bytes], size: int) -> Digest | None:
        """Describe the file if S3 holds this very content; read it only if S3 holds something of its size."""
        if head is None or head["ContentLength"] != size:
            return None
        digest = digest_of(file, self._part_bytes)
        file.seek(0)
        return digest if _is(digest, head) else None

    def _put(self, file: IO[bytes], target: S3Uri, condition: Condition) -> Digest:
        """Upload a file from its beginning. S3 refuses a body, or a part of one, that differs from its checksum."""
        content_type = content_type_of(target.name)
        body = file.read(self._part_bytes)
        if len(body) == self._part_bytes:
            return put_parts(self._s3, target, content_type, body, file, condition)
        digest = hashlib.sha256(body)
        self._s3.put_object(
            Bucket=target.bucket,
            Key=target.key,
            Body=body,
            ContentType=content_type,
            ChecksumSHA256=checksum(digest.digest()),
            **condition,
        )
        return Digest(len(body), digest.hexdigest(), checksum(digest.digest()))

    def _head(self, target: S3Uri) -> HeadObjectOutputTypeDef | None:
        """Ask what S3 holds; None for nothing."""
        try:
            return self._s3.head_object(Bucket=target.bucket, Key=target.key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None
            raise


def _unchanged(head: HeadObjectOutputTypeDef | None) -> Condition:
    """Ask S3 to write only over what it answered: the same object, or none."""
    return {"IfNoneMatch": "*"} if head is None else {"IfMatch": head["ETag"]}


def _is(digest: Digest, head: HeadObjectOutputTypeDef | None) -> bool:
    """Return whether S3 holds exactly this content."""
    if head is None:
        return False
    return head["ContentLength"] == digest.size and head.get("ChecksumSHA256") == digest.s3_checksum
