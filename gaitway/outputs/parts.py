"""Upload a large file in parts, several at once, reading it a single time.

boto3's own transfer would hash each part again, and does not return the digests, without which S3's checksum of the
whole object cannot be compared.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, NamedTuple, TypedDict

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.model import S3Uri
from gaitway.outputs.digest import Digest, checksum, checksum_of_parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

PART_BYTES = 16 * 2**20
"""Files of this size and more are uploaded in parts of it. S3 takes 10,000 parts:
docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""
_PARTS_AT_ONCE = 4
"""Together with their size this bounds the memory: a function has little."""


class Condition(TypedDict, total=False):
    """What S3 has to hold for it to write."""

    IfMatch: str
    """The ETag of the existing object."""
    IfNoneMatch: str
    """`*`: nothing is there."""


class _Part(NamedTuple):
    number: int
    digest: bytes
    etag: str


def put_parts(
    s3: S3Client, target: S3Uri, content_type: str, first: bytes, file: IO[bytes], condition: Condition
) -> Digest:
    """Upload a file; S3 refuses a part that differs from its checksum.

    Args:
        s3: An S3 client.
        target: Destination.
        content_type: Content type of the object.
        first: The first part, whose size is that of all but the last one.
        file: The rest of the content.
        condition: What S3 must hold when the last part is uploaded.
    """
    upload_id = s3.create_multipart_upload(
        Bucket=target.bucket, Key=target.key, ContentType=content_type, ChecksumAlgorithm="SHA256"
    )["UploadId"]

    def put(number: int, body: bytes) -> _Part:
        digest = hashlib.sha256(body).digest()
        answer = s3.upload_part(
            Bucket=target.bucket,
            Key=target.key,
            UploadId=upload_id,
            PartNumber=number,
            Body=body,
            ChecksumSHA256=checksum(digest),
        )
        return _Part(number, digest, answer["ETag"])

    parts: list[_Part] = []
    waiting: deque[Future[_Part]] = deque()
    whole, size, body = hashlib.sha256(), 0, first
    try:
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as threads:
            while body:
                waiting.append(threads.submit(put, len(parts) + len(waiting) + 1, body))
                whole.update(body)
                size += len(body)
                if len(waiting) == _PARTS_AT_ONCE:
                    parts.append(waiting.popleft().result())
                body = file.read(len(first))
            parts += [part.result() for part in waiting]
        s3.complete_multipart_upload(
            Bucket=target.bucket,
            Key=target.key,
            UploadId=upload_id,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": part.number, "ETag": part.etag, "ChecksumSHA256": checksum(part.digest)}
                    for part in parts
                ]
            },
            **condition,
        )
    except BaseException:
        _abort(s3, target, upload_id)
        raise
    return Digest(size, whole.hexdigest(), checksum_of_parts([part.digest for part in parts]))


def _abort(s3: S3Client, target: S3Uri, upload_id: str) -> None:
    """Take back what arrived; what cannot be taken back, the bucket's own rule removes after days."""
    try:
        s3.abort_multipart_upload(Bucket=target.bucket, Key=target.key, UploadId=upload_id)
    except AWS_ERRORS as error:
        logger.warning("the parts of %s could not be taken back: %s", target, error)
