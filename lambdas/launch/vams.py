"""VAMS as a caller, and our own outer workflow, which sends the same messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.contracts.vams_message import find_task_token, parse_message
from lambdas.launch.vams_manifest import with_manifest

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.contracts.message import ReceivedMessage
    from lambdas.observability import Json


class Vams:
    """Reads `{"body": {...}}` or `{"body": "<JSON>"}`.

    Args:
        s3: An S3 client: VAMS 2.6 names a manifest there.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def read(self, event: Json) -> ReceivedMessage:
        """Read what the function received.

        Raises:
            RequestError: The event, its `body`, or the manifest that it names, is not what VAMS sends.
        """
        return parse_message(with_manifest(event, self._s3))

    def find_token(self, event: Json) -> str | None:
        """Find the caller's task token, even in an event that is otherwise unreadable."""
        return find_task_token(event)
