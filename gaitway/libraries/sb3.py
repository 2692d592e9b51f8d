"""sb3, Stable-Baselines3: `model_160000_steps.zip` after 160000 steps of all environments together."""

import re

from gaitway.libraries.record import AgentSettings, CheckpointFiles, Counts, LibraryRecord, ScalarTags

SB3 = LibraryRecord(
    name="sb3",
    distribution="stable-baselines3",
    module="stable_baselines3",
    checkpoints=CheckpointFiles(
        suffix=".zip",
        # Archives of custom environments have this suffix, too.
        shares_suffix=True,
        numbered=re.compile(r"model_(?P<number>\d+)_steps\.zip", re.ASCII),
        best=None,
        directory=None,
        member="policy.pth",
    ),
    counts=Counts.STEPS_OF_ALL,
    steps_setting=re.compile(r"^n_steps: *(?P<steps>[1-9]\d*) *$", re.MULTILINE | re.ASCII),
    scalars=ScalarTags(
        mean_reward="rollout/ep_rew_mean",
        mean_length="rollout/ep_len_mean",
        # Its time/fps is the mean since the attempt began.
        steps_per_second=None,
        about_speed="time/",
        iteration_seconds=(),
        left_out=(),
    ),
    settings=AgentSettings(
        iterations="agent.n_timesteps",
        checkpoint_interval=None,
        steps="agent.n_steps",
        networks=(
            ("policy_kwargs.net_arch",),
            ("policy_kwargs.activation_fn",),
            ("normalize_input",),
            ("normalize_value",),
            ("clip_obs",),
        ),
    ),
    trains_in_several_processes=False,
)
