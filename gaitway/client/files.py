"""A run's files: its results, fetched and checked, and its inputs, uploaded to where the run can read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from gaitway.contracts.artifacts import MANIFEST, RESULTS, Manifest, ManifestEntry, Results
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.model import S3Uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import boto3

_SETTLE_SECONDS = 30.0
"""If a run was ended from outside, its files are uploaded one after the other for up to this time."""
_SETTLE_ATTEMPTS = 15
Wanted = Callable[[str], bool]
"""Chooses files by their names, relative to a run's outputs."""


def everything(_: str) -> bool:
    """Choose every file."""
    return True


class NoResultsError(Exception):
    """A run has left nothing in S3."""


class RunFiles:
    """Files of runs, in S3 and on this machine.

    Args:
        session: Session that creates the client.
        settle_seconds: How long the files of a failed run are read again if they differ from their list.
    """

    def __init__(self, session: boto3.Session, *, settle_seconds: float = _SETTLE_SECONDS) -> None:
        self._s3 = session.client("s3")
        self._settle_seconds = settle_seconds

    def fetch(self, output_files: S3Uri, directory: Path, *, wanted: Wanted = everything) -> Manifest:
        """Download the files in a run's manifest, and check them.

        Args:
            output_files: Prefix of the run's outputs.
            directory: Where to write the files, in the same layout.
            wanted: Returns for each name whether to download that file.

        Raises:
            NoResultsError: There is no manifest.
            ArtifactError: A file is not what the manifest says.
        """
        self._download(output_files / MANIFEST, directory / MANIFEST)
        manifest = Manifest.read((directory / MANIFEST).read_bytes())
        self._fetch_all(manifest.files, output_files, directory, wanted)
        return manifest

    def fetch_failed(self, output_files: S3Uri, directory: Path, *, wanted: Wanted = everything) -> list[ManifestEntry]:
        """Download the files of a failed run that its results.json lists, and check them: see `fetch`.

        For some seconds after the run's end there may be new files, and results.json is written again.

        Raises:
            NoResultsError: There is no results.json.
            ArtifactError: A file is not what results.json says, or the files are not listed yet; and that stays so.
        """
        patiently = Retrying(
            retry=retry_if_exception_type(ArtifactError),
            wait=wait_fixed(self._settle_seconds / _SETTLE_ATTEMPTS),
            stop=stop_after_attempt(_SETTLE_ATTEMPTS),
            reraise=True,
        )
        return patiently(self._fetch_failed_once, output_files, directory, wanted)

    def _fetch_failed_once(self, output_files: S3Uri, directory: Path, wanted: Wanted) -> list[ManifestEntry]:
        self._download(output_files / RESULTS, directory / RESULTS)
        files = Results.read((directory / RESULTS).read_bytes()).files
        if files is None:
            raise ArtifactError(
                f"{output_files / RESULTS} does not list the run's files yet, because they are being uploaded: "
                "try again in a minute; if it stays so, the log of the function handle-failure says why"
            )
        self._fetch_all(files, output_files, directory, wanted)
        return files

    def put(self, file: Path, bucket: str) -> S3Uri:
        """Upload a file that a run is to work on, unless the bucket has it.

        Returns:
            Where it is: the same content under the same name is uploaded once.
        """
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        uri = S3Uri(bucket, f"inputs/{digest[:32]}/{file.name}")
        try:
            self._s3.head_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "403"):
                raise
            self._s3.upload_file(str(file), uri.bucket, uri.key)
        return uri

    def _fetch_all(self, files: Sequence[ManifestEntry], output_files: S3Uri, directory: Path, wanted: Wanted) -> None:
        for entry in files:
            if not wanted(entry.path):
                continue
            target = directory / entry.path
            if not target.resolve().is_relative_to(directory.resolve()):
                raise ArtifactError(f"the manifest names {entry.path!r}, which is outside of the run's outputs")
            # A second fetch, after an interruption for example, downloads only what is missing.
            if _holds(target, entry):
                continue
            self._download(output_files / entry.path, target)
            if not _holds(target, entry):
                raise ArtifactError(f"{output_files / entry.path} differs from what the run's manifest says")

    def _download(self, uri: S3Uri, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._s3.download_file(uri.bucket, uri.key, str(target))
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            raise NoResultsError(f"{uri} does not exist") from error


def _holds(target: Path, entry: ManifestEntry) -> bool:
    if not target.is_file() or target.stat().st_size != entry.size:
        return False
    with target.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == entry.sha256
