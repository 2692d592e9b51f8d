"""skrl: `agent_4800.pt` after 4800 steps of each environment, `best_agent.pt` for the best so far."""

import re

from gaitway.libraries.record import AgentSettings, CheckpointFiles, Counts, LibraryRecord, ScalarTags

SKRL = LibraryRecord(
    name="skrl",
    distribution="skrl",
    module="skrl",
    checkpoints=CheckpointFiles(
        suffix=".pt",
        numbered=re.compile(r"agent_(?P<number>\d+)\.pt", re.ASCII),
        best=re.compile(r"best_agent\.pt"),
        directory="checkpoints",
        entries=("policy",),
    ),
    # Isaac Lab's own interval may end in the middle of an iteration, which is then incomplete.
    counts=Counts.STEPS,
    steps_setting=re.compile(r"^ +rollouts: *(?P<steps>[1-9]\d*) *$", re.MULTILINE | re.ASCII),
    scalars=ScalarTags(
        mean_reward="Reward / Total reward (mean)",
        mean_length="Episode / Total timesteps (mean)",
        steps_per_second=None,
        about_speed="stats /",
        iteration_seconds=(),
        left_out=(),
    ),
    settings=AgentSettings(
        iterations="agent.trainer.timesteps",
        checkpoint_interval="agent.agent.experiment.checkpoint_interval",
        steps="agent.agent.rollouts",
        networks=(
            ("models.separate",),
            ("models.policy.network",),
            ("models.value.network",),
            # Release 2 gave the scaler of what the policy sees another name.
            ("agent.state_preprocessor", "agent.observation_preprocessor"),
            ("agent.value_preprocessor",),
        ),
    ),
)
