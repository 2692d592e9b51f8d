"""A directory of a container that SageMaker keeps the same as a prefix in S3: `CheckpointConfig`.

What the pages say: what is in S3 is in the directory when the job starts, and when it is restarted; what is new or
changed in the directory is brought to S3 while the job runs, and nothing when it ends; what is deleted there is deleted
in S3. docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html and model-train-storage-env-var-summary.html

They do not say how soon, nor what becomes of a file that is being written. Here it is brought as it is at that moment,
torn, and again when it has changed. Times, modes, links and empty directories are not kept, as S3 knows none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.artifacts import SYNCHRONISATION_MARKS
from gaitway.contracts.model import S3Uri
from gaitway.local.runtime import REGION, Runtime
from gaitway.local.services import open_role_session

logger = logging.getLogger("gaitway.sagemaker")

_SCAN_SECONDS = 1.0
_SESSION_SECONDS = 6 * 3600.0
_UPLOADING, _UPLOADED = SYNCHRONISATION_MARKS
_ERRORS = (ClientError, BotoCoreError, Boto3Error)

_Version = tuple[int, int]
"""Size and time of change of a file."""


class DownloadError(Exception):
    """What is in S3 cannot be read."""


class Synchronised:
    """The directory of one container, from the start of its machine to its end.

    Args:
        uri: The prefix. As in SageMaker, everything whose key begins with it belongs to it.
        directory: The directory.
        role_arn: The training job's role, which must be allowed to do this.
        runtime: The emulator.
    """

    def __init__(self, uri: S3Uri, directory: Path, role_arn: str, runtime: Runtime) -> None:
        self._uri = uri
        self._directory = directory
        access_key, secret_key, token = open_role_session(role_arn, "SageMaker", _SESSION_SECONDS)
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=runtime.endpoint_url,
            region_name=REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
        )
        self._known: dict[str, _Version] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sagemaker-checkpoints", daemon=True)

    def start(self) -> None:
        """Fetch what is in S3, and then watch the directory.

        Raises:
            DownloadError: It cannot be read.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            for name in self._names():
                path = self._directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(self._uri.bucket, self._uri.key + name, str(path))
        except _ERRORS as error:
            raise DownloadError(f"{self._uri}: {error}") from error
        self._known = dict(self._found())
        self._thread.start()

    def end(self) -> None:
        """Bring nothing more to S3: the machine is gone."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            while not self._is_over.wait(_SCAN_SECONDS):
                # A directory may be deleted while it is listed.
                with suppress(FileNotFoundError):
                    self._bring()
        except _ERRORS:
            # Whether a training job fails of it is not documented: github.com/aws/sagemaker-python-sdk/issues/3062
            logger.exception("%s is not synchronised any more", self._uri)

    def _bring(self) -> None:
        found = dict(self._found())
        for name in self._known.keys() - found.keys():
            self._s3.delete_object(Bucket=self._uri.bucket, Key=self._uri.key + name)
            for ending in SYNCHRONISATION_MARKS:
                (self._directory / f"{name}{ending}").unlink(missing_ok=True)
            del self._known[name]
        for name, version in found.items():
            if self._is_over.is_set():
                return
            if self._known.get(name) != version:
                self._bring_file(name, version)

    def _bring_file(self, name: str, version: _Version) -> None:
        path = self._directory / name
        mark = path.with_name(f"{path.name}{_UPLOADING}")
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            mark.touch()
            self._s3.put_object(Bucket=self._uri.bucket, Key=self._uri.key + name, Body=content)
            self._known[name] = version
            mark.replace(path.with_name(f"{path.name}{_UPLOADED}"))

    def _found(self) -> Iterator[tuple[str, _Version]]:
        for path in self._directory.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink() and not path.name.endswith(SYNCHRONISATION_MARKS):
                    status = path.stat()
                    name = path.relative_to(self._directory).as_posix()
                    yield name, (status.st_size, status.st_mtime_ns)

    def _names(self) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._uri.bucket, Prefix=self._uri.key)
        return [item["Key"].removeprefix(self._uri.key) for page in pages for item in page.get("Contents", [])]
