"""Which checkpoints stay on EFS, and what is remembered of the others. S3 keeps them all."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from container.runner.checkpoints import Checkpoint
from gaitway.contracts.artifacts import ManifestEntry
from gaitway.contracts.model import Model

logger = logging.getLogger(__name__)

KEPT_NEWEST = 3
"""Of the numbered ones: should the newest prove unreadable, there are others to go on from."""
CHECKPOINT_LOG = "checkpoints.jsonl"


class UploadedCheckpoint(Model):
    """A line of the log: a checkpoint that S3 holds."""

    entry: ManifestEntry
    mean_reward: float | None
    """When it was saved."""


def expendable(checkpoints: Iterable[Checkpoint], mean_rewards: Mapping[str, float | None]) -> list[Checkpoint]:
    """Choose the checkpoints that need not stay: all but the newest ones, the best one, and those without number.

    Those without number are the library's own best, which it overwrites.

    Args:
        checkpoints: Those that S3 holds.
        mean_rewards: By name; None where it is not known.
    """
    numbered = sorted(
        (checkpoint for checkpoint in checkpoints if checkpoint.iterations is not None),
        key=lambda checkpoint: checkpoint.iterations or 0,
    )
    rewards = [(mean_rewards.get(checkpoint.name), checkpoint) for checkpoint in numbered]
    # Of equals the newest: it was trained longer.
    best = max(
        ((reward, checkpoint.iterations or 0, checkpoint) for reward, checkpoint in rewards if reward is not None),
        key=lambda candidate: candidate[:2],
        default=(0.0, 0, None),
    )[2]
    return [checkpoint for checkpoint in numbered[:-KEPT_NEWEST] if checkpoint != best]


class CheckpointLog:
    """The run's checkpoints that S3 holds, over all its attempts: a line each, the latest of a name counts.

    Args:
        directory: The run's directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / CHECKPOINT_LOG
        self._known: dict[str, UploadedCheckpoint] = {}
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        for line in filter(None, text.splitlines()):
            try:
                uploaded = UploadedCheckpoint.model_validate_json(line)
            except ValidationError:
                logger.warning("%s: a line is torn, as a killed attempt leaves it", CHECKPOINT_LOG)
                continue
            self._known[uploaded.entry.path] = uploaded

    @property
    def entries(self) -> list[ManifestEntry]:
        """What S3 holds."""
        return [uploaded.entry for uploaded in self._known.values()]

    def mean_reward(self, path: str) -> float | None:
        """Tell the mean reward that a checkpoint was saved with; None where it is not known."""
        return self._known[path].mean_reward if path in self._known else None

    def note(self, entry: ManifestEntry, mean_reward: float | None) -> None:
        """Note a checkpoint that S3 holds by now, unless that is known already."""
        known = self._known.get(entry.path)
        if known is not None and known.entry == entry:
            return
        is_number = mean_reward is not None and math.isfinite(mean_reward)
        uploaded = UploadedCheckpoint(entry=entry, mean_reward=mean_reward if is_number else None)
        with self._path.open("a", encoding="utf-8") as file:
            # On a line of its own, whatever a killed attempt left before it.
            file.write(f"\n{uploaded.model_dump_json()}\n")
        self._known[entry.path] = uploaded
