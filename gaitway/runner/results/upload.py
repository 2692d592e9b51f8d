"""Upload a run's outputs to S3, with retries for a long time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.limits import RETRY_SECONDS
from gaitway.contracts.model import S3Uri
from gaitway.outputs.parts import PART_BYTES
from gaitway.outputs.upload import Uploader
from gaitway.runner.retry import retrying
from gaitway.runner.stop import StopRequest

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class PatientUploader(Uploader):
    """Uploads files, and tries again while S3 refuses.

    Args:
        s3: An S3 client.
        destination: The run's prefix.
        may_write: Returns, before each upload, whether the run still belongs to this attempt.
        stop: Ends the waiting between tries.
        on_upload: Called after each uploaded file.
        retry_seconds: How long uploading a file is tried.
        part_bytes: Files of this size and more are uploaded in parts of it; at least 5 MiB.
    """

    def __init__(
        self,
        s3: S3Client,
        destination: S3Uri,
        may_write: Callable[[], bool],
        stop: StopRequest,
        on_upload: Callable[[], None],
        *,
        retry_seconds: float = RETRY_SECONDS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        super().__init__(s3, destination, may_write, on_upload, part_bytes=part_bytes)
        self._stop = stop
        self._retry_seconds = retry_seconds

    def upload(self, name: str, path: Path) -> None:
        """Upload a file unless S3 has it already; try again for some minutes.

        Args:
            name: Relative to the run's prefix.
            path: The file; it may be replaced by a newer one at any time.

        Raises:
            ArtifactError: It could not be uploaded, or what arrived in S3 is different.
            RunRefusedError: The run has ended, or belongs to another attempt: nothing is written.
            OSError: It cannot be read.
        """
        retrying((ArtifactError,), self._stop.sleep, self._retry_seconds)(self.upload_once, name, path)
