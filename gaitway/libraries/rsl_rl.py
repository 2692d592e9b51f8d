"""rsl_rl: `model_1499.pt` after 1500 iterations."""

import re

from gaitway.libraries.record import (
    NUMBER,
    AgentSettings,
    CheckpointFiles,
    Counts,
    LibraryRecord,
    ProgressLines,
    ScalarTags,
)

RSL_RL = LibraryRecord(
    name="rsl_rl",
    distribution="rsl-rl-lib",
    module="rsl_rl",
    checkpoints=CheckpointFiles(
        suffix=".pt",
        numbered=re.compile(r"model_(?P<number>\d+)\.pt", re.ASCII),
        best=None,
        directory=None,
        # Releases 2 and 3, releases 4 and 5, and distillation by the latter.
        entries=("model_state_dict", "actor_state_dict", "student_state_dict"),
    ),
    counts=Counts.ITERATION_INDEX,
    scalars=ScalarTags(
        mean_reward="Train/mean_reward",
        mean_length="Train/mean_episode_length",
        steps_per_second="Perf/total_fps",
        about_speed="perf/",
        # The second form is that of rsl-rl-lib 3, which Isaac Lab 2.3 pins.
        iteration_seconds=("Perf/collection_time", "Perf/collection time", "Perf/learning_time"),
        # By elapsed seconds.
        left_out=("/time",),
    ),
    settings=AgentSettings(
        iterations="agent.max_iterations",
        checkpoint_interval="agent.save_interval",
        networks=(
            # As releases 2 and 3 have them; then as releases 4 and 5; then as release 2.
            ("policy.actor_hidden_dims", "actor.hidden_dims"),
            ("policy.critic_hidden_dims", "critic.hidden_dims"),
            ("policy.activation", "actor.activation"),
            ("policy.noise_std_type", "actor.distribution_cfg.std_type", "actor.noise_std_type"),
            ("policy.actor_obs_normalization", "actor.obs_normalization", "empirical_normalization"),
            ("policy.critic_obs_normalization", "critic.obs_normalization", "empirical_normalization"),
            ("clip_actions",),
        ),
    ),
    progress_lines=ProgressLines(
        iteration=re.compile(r"^\s*Learning iteration (?P<done>\d+)/(?P<total>\d+)"),
        first_iteration=0,
        # The second form is that of rsl-rl-lib 3, which Isaac Lab 2.3 pins.
        steps_per_second=re.compile(rf"^\s*(?:Steps per second:\s*{NUMBER}|Computation:\s*(?P<older>\d+) steps/s)"),
        mean_reward=re.compile(rf"^\s*Mean reward:\s*{NUMBER}"),
    ),
)
