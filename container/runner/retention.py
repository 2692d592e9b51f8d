"""Which checkpoints stay on EFS. S3 keeps them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gaitway.outputs.checkpoints import Checkpoint

KEPT_NEWEST = 3
"""Of the numbered ones: should the newest prove unreadable, there are others to go on from."""


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
