"""The files of a failed run: on EFS, or where SageMaker has synchronised the run's directory with S3."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import LOCK_FILE
from gaitway.outputs.checkpoint_log import CHECKPOINT_LOG, CheckpointLog
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.contracts.artifacts import ManifestEntry
    from gaitway.contracts.model import S3Uri


class RunFiles(Protocol):
    """The directory of a run, as far as a function sees it."""

    @property
    def directory(self) -> Path:
        """Where the files are."""
        ...

    def refresh(self) -> None:
        """Bring the directory up to date.

        Raises:
            OSError: It cannot be written, or S3 does not answer.
        """
        ...

    def is_in_use(self) -> bool:
        """Return whether a runner is still at work there."""
        ...

    def close(self) -> None:
        """Remove what was made to see it."""
        ...


@dataclass(frozen=True)
class MountedFiles:
    """The run's directory on EFS, which is only read."""

    directory: Path

    def refresh(self) -> None:
        """Do nothing: EFS shows what the runner has written."""

    def is_in_use(self) -> bool:
        """Return whether the runner holds the lock."""
        try:
            with (self.directory / LOCK_FILE).open("rb") as file:
                # A shared lock is possible on a file that is only readable; closing the file releases it.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            # No runner ever used this directory, or EFS does not answer.
            return False
        return False

    def close(self) -> None:
        """Do nothing."""


@dataclass
class SynchronisedFiles:
    """The run's directory as SageMaker has brought it to S3: what a machine wrote in its last seconds is not there."""

    s3: S3Client
    source: S3Uri
    """Its prefix."""
    is_active: Callable[[], bool]
    """Returns whether the run's job has not ended yet."""
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    _versions: dict[str, str] = field(default_factory=dict)
    """ETags by name."""

    @property
    def directory(self) -> Path:
        """A directory of this function."""
        return Path(self._folder.name)

    def refresh(self) -> None:
        """Fetch what is new, except checkpoints that the runner has uploaded itself: they may be large.

        Raises:
            OSError: It cannot be written, or S3 does not answer.
        """
        try:
            self._fetch_new()
        except AWS_ERRORS as error:
            raise OSError(f"{self.source} cannot be read: {error}") from error

    def is_in_use(self) -> bool:
        """Return whether the run's job is still active."""
        return self.is_active()

    def close(self) -> None:
        """Delete what was fetched."""
        self._folder.cleanup()

    def _fetch_new(self) -> None:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.source.bucket, Prefix=self.source.key)
        found = {item["Key"].removeprefix(self.source.key): item for page in pages for item in page.get("Contents", [])}
        if CHECKPOINT_LOG in found:
            self._fetch(CHECKPOINT_LOG, found[CHECKPOINT_LOG]["ETag"])
        uploaded = {(Path(entry.path).name, entry.size) for entry in self._uploaded()}
        for name, item in found.items():
            if (Path(name).name, item["Size"]) not in uploaded:
                self._fetch(name, item["ETag"])

    def _fetch(self, name: str, etag: str) -> None:
        path = self.directory / name
        # A simulator may write any name into its run's directory.
        if self._versions.get(name) == etag or not path.resolve().is_relative_to(self.directory.resolve()):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(self.source.bucket, self.source.key + name, str(path))
        self._versions[name] = etag

    def _uploaded(self) -> list[ManifestEntry]:
        try:
            return CheckpointLog(self.directory).entries
        except UnicodeDecodeError as error:
            logger.warning("what was uploaded before cannot be read: %s", error)
            return []
