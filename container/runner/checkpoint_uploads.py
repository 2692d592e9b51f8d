"""Upload new checkpoints while training goes on, so that little is lost with the machine; and keep EFS small."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from container.runner.retention import expendable
from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.request import RlLibrary
from gaitway.outputs.checkpoint_log import CheckpointLog
from gaitway.outputs.checkpoints import Checkpoint, checkpoints
from gaitway.outputs.upload import Uploader

logger = logging.getLogger(__name__)

_SCAN_SECONDS = 2.0


class CheckpointUploads:
    """Looks for new checkpoints from a thread of its own while it is entered.

    An upload that fails here fails nothing: the next look tries again, and the upload at the end decides. Only what S3
    holds is removed from EFS.

    Args:
        directory: The run's directory.
        library: Who trains.
        uploader: Used by nobody else in the meantime.
        mean_reward_at: Tells the mean reward after a number of iterations.
    """

    def __init__(
        self,
        directory: Path,
        library: RlLibrary,
        uploader: Uploader,
        mean_reward_at: Callable[[int], float | None],
    ) -> None:
        self._directory = directory
        self._library = library
        self._uploader = uploader
        self._mean_reward_at = mean_reward_at
        self._log = CheckpointLog(directory)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_until_closed, name="checkpoints", daemon=True)
        for entry in self._log.entries:
            uploader.remember(entry)

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
            try:
                self.look()
            except OSError as error:
                logger.warning("checkpoints could not be looked at: %s", error)

    def look(self) -> None:
        """Upload what is new, and remove what need not stay."""
        uploaded = []
        for checkpoint in checkpoints(self._directory, self._library):
            if self._closed.is_set():
                return
            try:
                entry = self._uploader.upload_once(f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path)
            except ArtifactError as error:
                logger.warning("checkpoint not uploaded yet: %s", error)
                continue
            self._log.note(entry, self._mean_reward(checkpoint))
            uploaded.append(checkpoint)
        rewards = {one.name: self._log.mean_reward(f"{CHECKPOINTS}{one.name}") for one in uploaded}
        for checkpoint in expendable(uploaded, rewards):
            checkpoint.path.unlink(missing_ok=True)
            logger.info("removed %s from EFS: S3 holds it", checkpoint.name)

    def _mean_reward(self, checkpoint: Checkpoint) -> float | None:
        return self._mean_reward_at(checkpoint.iterations) if checkpoint.iterations is not None else None
