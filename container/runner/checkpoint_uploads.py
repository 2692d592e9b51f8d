"""Upload new checkpoints while training goes on, so that little is lost with the machine."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from container.runner.outputs import checkpoints
from container.runner.upload import Uploader
from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import ArtifactError

logger = logging.getLogger(__name__)

_SCAN_SECONDS = 2.0


class CheckpointUploads:
    """Looks for new checkpoints from a thread of its own while it is entered.

    An upload that fails here fails nothing: the next look tries again, and the upload at the end decides.

    Args:
        directory: The run's directory.
        uploader: Used by nobody else in the meantime.
    """

    def __init__(self, directory: Path, uploader: Uploader) -> None:
        self._directory = directory
        self._uploader = uploader
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_until_closed, name="checkpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        # Once interrupted there is no time to wait for an upload that hangs.
        self._thread.join(None if error is None else _SCAN_SECONDS)

    def _look_until_closed(self) -> None:
        while not self._closed.wait(_SCAN_SECONDS):
            for name, path in checkpoints(self._directory).items():
                if self._closed.is_set():
                    return
                try:
                    self._uploader.upload_once(f"{CHECKPOINTS}{name}", path)
                except (ArtifactError, OSError) as error:
                    logger.warning("checkpoint not uploaded yet: %s", error)
