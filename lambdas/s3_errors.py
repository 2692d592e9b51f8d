"""Messages about objects in S3 that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

ABSENT = frozenset({"404", "NoSuchKey"})
_REASONS = {
    "404": "it does not exist",
    "NoSuchKey": "it does not exist",
    "NoSuchBucket": "its bucket does not exist",
    "403": "access is denied, or it does not exist",
    "AccessDenied": "access is denied, or it does not exist",
    "301": "its bucket is in another region",
    "PermanentRedirect": "its bucket is in another region",
}
"""S3 answers 403 for a missing object to a role that may not list the bucket, and a HEAD request by number only."""


def reason(error: ClientError) -> str:
    """Return why an object cannot be read.

    Raises:
        ClientError: The reason is not the object, but S3: trying again may help.
    """
    code = error.response["Error"]["Code"]
    if code not in _REASONS:
        raise error
    return _REASONS[code]
