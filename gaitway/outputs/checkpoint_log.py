"""The checkpoints of a run that S3 holds: recorded beside them, because not all stay on EFS."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import ManifestEntry
from gaitway.contracts.model import Stored

logger = logging.getLogger(__name__)

CHECKPOINT_LOG = "checkpoints.jsonl"


class UploadedCheckpoint(Stored):
    """A line of the log: a checkpoint that S3 holds."""

    entry: ManifestEntry
    mean_reward: float | None
    """When it was saved."""


class CheckpointLog:
    """The run's checkpoints that S3 holds, over all its attempts: one line each; the last line of a name counts.

    Args:
        directory: The run's directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / CHECKPOINT_LOG
        self._known: dict[str, UploadedCheckpoint] = {}
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        for line in filter(None, text.splitlines()):
            try:
                uploaded = UploadedCheckpoint.read(line)
            except ValidationError:
                logger.warning("%s: skipped an incomplete line, which a killed attempt left", CHECKPOINT_LOG)
                continue
            self._known[uploaded.entry.path] = uploaded

    @property
    def entries(self) -> list[ManifestEntry]:
        """What S3 holds."""
        return [uploaded.entry for uploaded in self._known.values()]

    def mean_reward(self, path: str) -> float | None:
        """Return the mean reward that a checkpoint was saved with; None if it is not known."""
        return self._known[path].mean_reward if path in self._known else None

    def note(self, entry: ManifestEntry, mean_reward: float | None) -> None:
        """Note a checkpoint that S3 holds by now, unless that is known already."""
        known = self._known.get(entry.path)
        if known is not None and known.entry == entry:
            return
        is_number = mean_reward is not None and math.isfinite(mean_reward)
        uploaded = UploadedCheckpoint(entry=entry, mean_reward=mean_reward if is_number else None)
        with self._path.open("a", encoding="utf-8") as file:
            # Begin a new line, because a killed attempt may have left an incomplete one.
            file.write(f"\n{uploaded.model_dump_json()}\n")
        self._known[entry.path] = uploaded
