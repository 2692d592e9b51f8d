"""Upload new checkpoints during training, so that little is lost with the machine, and keep EFS small."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import ArtifactError, RunRefusedError
from gaitway.contracts.workload import WorkloadConfig
from gaitway.outputs.checkpoint_log import CheckpointLog
from gaitway.outputs.upload import Uploader
from gaitway.runner.background import Background
from gaitway.runner.results.retention import expendable
from gaitway.workloads import workload_of
from gaitway.workloads.checkpoints import Checkpoint

logger = logging.getLogger(__name__)

_SCAN_SECONDS = 2.0


class CheckpointUploads:
    """Looks for new checkpoints from its own thread while it is entered.

    A failed upload here does not fail the run: it is tried again, and the upload at the end decides. Only what S3
    holds is removed from EFS.

    Args:
        directory: The run's directory.
        training: The requested training.
        uploader: Not used elsewhere in the meantime.
        mean_reward_at: Returns the mean reward after a number of iterations.
        on_newest: Called with the time at which the newest checkpoint that is in S3 was saved, in seconds since the
            epoch.
    """

    def __init__(
        self,
        directory: Path,
        training: WorkloadConfig,
        uploader: Uploader,
        mean_reward_at: Callable[[int], float | None],
        on_newest: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._training = training
        self._uploader = uploader
        self._mean_reward_at = mean_reward_at
        self._on_newest = on_newest
        self._log = CheckpointLog(directory)
        self._background = Background("checkpoints", self._look_unless_refused, _SCAN_SECONDS)
        for entry in self._log.entries:
            uploader.remember(entry)

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # After an interruption there is no time to wait for an upload that hangs.
        self._background.close(None if error is None else _SCAN_SECONDS)

    def _look_unless_refused(self) -> None:
        try:
            self.look()
        except OSError as error:
            logger.warning("checkpoints could not be looked at: %s", error)
        except RunRefusedError as error:
            # The heartbeat, or the next step of the run, finds this out, too.
            logger.warning("no more checkpoints are uploaded: %s", error)
            self._background.end()

    def look(self) -> None:
        """Upload what is new, and remove what need not stay."""
        uploaded = []
        for checkpoint in workload_of(self._training).checkpoints(self._directory, self._training):
            if self._background.is_over:
                return
            try:
                entry = self._uploader.upload_once(f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path)
            except ArtifactError as error:
                logger.warning("checkpoint not uploaded yet: %s", error)
                continue
            try:
                self._log.note(entry, self._mean_reward(checkpoint))
            except OSError as error:
                # It stays on EFS. The others may be removed, which makes room on a full disk.
                logger.warning("%s is in S3, which cannot be written down: %s", checkpoint.name, error)
                continue
            uploaded.append(checkpoint)
        if uploaded:
            # They come by their iterations.
            self._on_newest(uploaded[-1].path.stat().st_mtime)
        rewards = {one.name: self._log.mean_reward(f"{CHECKPOINTS}{one.name}") for one in uploaded}
        for checkpoint in expendable(uploaded, rewards):
            checkpoint.path.unlink(missing_ok=True)
            logger.info("removed %s from EFS: S3 holds it", checkpoint.name)

    def _mean_reward(self, checkpoint: Checkpoint) -> float | None:
        return self._mean_reward_at(checkpoint.iterations) if checkpoint.iterations is not None else None
