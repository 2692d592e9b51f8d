"""Bring a run's outputs to S3 without giving up early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from container.runner.retry import RETRY_SECONDS, retrying
from container.runner.stop import StopRequest
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.model import S3Uri
from gaitway.outputs.parts import PART_BYTES
from gaitway.outputs.upload import Uploader

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class PatientUploader(Uploader):
    """Tries again while S3 refuses.

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
        super().__init__(s3, destination, on_upload, part_bytes=part_bytes)
        self._stop = stop
        self._retry_seconds = retry_seconds

    def upload(self, name: str, path: Path) -> None:
        """Upload a file unless it is there already, trying again for some minutes.

        Args:
            name: Relative to the run's prefix.
            path: The file; it may be replaced by a newer one at any time.

        Raises:
            ArtifactError: It could not be brought to S3, or what arrived is something else.
            OSError: It cannot be read.
        """
        retrying((ArtifactError,), self._stop.sleep, self._retry_seconds)(self.upload_once, name, path)
