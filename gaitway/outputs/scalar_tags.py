"""What each library calls the scalars that it logs: the names of metrics.csv's columns."""

from __future__ import annotations

from dataclasses import dataclass

from gaitway.contracts.request import RlLibrary


@dataclass(frozen=True)
class ScalarTags:
    """What a library calls its scalars."""

    mean_reward: str
    mean_length: str
    """Environment steps of an episode."""
    steps_per_second: str | None
    """None: it does not log it, and its steps are those of each environment."""
    iteration_seconds: tuple[str, ...]
    """The parts of an iteration's duration; none where it logs none."""
    left_out: tuple[str, ...]
    """Endings of tags that are logged a second time, at another step than the iteration."""
    step_counter: str | None = None
    """Tag whose value is the iteration, where the other tags' step is something else."""
    by_iteration: tuple[str, ...] = ()
    """Endings of those tags that are logged by iteration nevertheless."""


SCALAR_TAGS: dict[RlLibrary, ScalarTags] = {
    "rsl_rl": ScalarTags(
        mean_reward="Train/mean_reward",
        mean_length="Train/mean_episode_length",
        steps_per_second="Perf/total_fps",
        # The second form is that of rsl-rl-lib 3, which Isaac Lab 2.3 pins.
        iteration_seconds=("Perf/collection_time", "Perf/collection time", "Perf/learning_time"),
        # By elapsed seconds.
        left_out=("/time",),
    ),
    "skrl": ScalarTags(
        mean_reward="Reward / Total reward (mean)",
        mean_length="Episode / Total timesteps (mean)",
        steps_per_second=None,
        iteration_seconds=(),
        left_out=(),
    ),
    "rl_games": ScalarTags(
        mean_reward="rewards/iter",
        mean_length="episode_lengths/iter",
        steps_per_second="performance/step_inference_rl_update_fps",
        iteration_seconds=("performance/step_inference_time", "performance/rl_update_time"),
        # By elapsed seconds, and by frames.
        left_out=("/time", "/step", "/frame"),
        step_counter="info/epochs",
        by_iteration=("/iter",),
    ),
}
