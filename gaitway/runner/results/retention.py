"""Which checkpoints stay on EFS. S3 keeps them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gaitway.workloads.checkpoints import Checkpoint

KEPT_NEWEST = 3
"""Number of numbered ones that stay: if the newest cannot be read, the run resumes from another."""


def expendable(checkpoints: Iterable[Checkpoint], mean_rewards: Mapping[str, float | None]) -> list[Checkpoint]:
    """Choose the checkpoints that need not stay: all but the newest ones, the best one, and those without a number.

    Those without a number are the library's own best, which it overwrites.

    Args:
        checkpoints: Those that S3 holds.
        mean_rewards: By name; None if it is unknown.
    """
    numbered = sorted(
        (checkpoint for checkpoint in checkpoints if checkpoint.iterations is not None),
        key=lambda checkpoint: checkpoint.iterations or 0,
    )
    rewards = [(mean_rewards.get(checkpoint.name), checkpoint) for checkpoint in numbered]
    # If several are equal, the newest: it was trained longer.
    best = max(
        ((reward, checkpoint.iterations or 0, checkpoint) for reward, checkpoint in rewards if reward is not None),
        key=lambda candidate: candidate[:2],
        default=(0.0, 0, None),
    )[2]
    return [checkpoint for checkpoint in numbered[:-KEPT_NEWEST] if checkpoint != best]
