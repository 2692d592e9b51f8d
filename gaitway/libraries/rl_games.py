"""rl_games: `last_cartpole_ep_75_rew__283.2_.pth` after 75 iterations (epochs), `cartpole.pth` for the best so far."""

import re

from gaitway.libraries.record import AgentSettings, CheckpointFiles, Counts, LibraryRecord, ScalarTags

RL_GAMES = LibraryRecord(
    name="rl_games",
    distribution="rl-games",
    module="rl_games",
    checkpoints=CheckpointFiles(
        suffix=".pth",
        numbered=re.compile(r".*_ep_(?P<number>\d+)(?:_.*)?\.pth", re.ASCII),
        best=re.compile(r".*\.pth"),
        directory="nn",
        entries=("model",),
    ),
    counts=Counts.ITERATIONS,
    scalars=ScalarTags(
        mean_reward="rewards/iter",
        mean_length="episode_lengths/iter",
        steps_per_second="performance/step_inference_rl_update_fps",
        about_speed="performance/",
        iteration_seconds=("performance/step_inference_time", "performance/rl_update_time"),
        # By elapsed seconds, and by frames.
        left_out=("/time", "/step", "/frame"),
        step_counter="info/epochs",
        by_iteration=("/iter",),
    ),
    settings=AgentSettings(
        iterations="agent.params.config.max_epochs",
        checkpoint_interval="agent.params.config.save_frequency",
        networks=(
            ("params.network.mlp.units",),
            ("params.network.mlp.activation",),
            ("params.config.normalize_input",),
            ("params.config.normalize_value",),
            ("params.env.clip_observations",),
            ("params.env.clip_actions",),
        ),
    ),
)
