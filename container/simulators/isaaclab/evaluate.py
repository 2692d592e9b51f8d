"""Evaluate a policy in Isaac Lab: Isaac Lab's own play.py measures nothing, and ends only with a video."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from container.simulators.isaaclab.app import end_soon
from container.simulators.isaaclab.arguments import needs_cameras, overrides
from container.simulators.isaaclab.tasks import agent_entry_point, name_of, register_tasks
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, EVALUATION_VIDEOS, SimulationJob

_DEFAULT_SEED = 42


def evaluate(job: SimulationJob) -> None:
    """Do an evaluation in the working directory.

    Raises:
        RequestError: What the job asks for is not there.
    """
    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    # What an earlier attempt left is no result of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    arguments = overrides(job.training)

    from isaaclab.app import AppLauncher

    video = job.training.record_video
    launcher = AppLauncher(
        {"headless": True, "enable_cameras": video or needs_cameras(job.training.task), "video": video}
    )
    register_tasks(job)

    from isaaclab_tasks.utils.hydra import hydra_task_config

    def run(env_config: Any, agent: Any) -> None:  # noqa: ANN401
        _run(job, env_config, agent)

    # Hydra reads overrides from the command line, as it does for Isaac Lab's scripts.
    sys.argv = [sys.argv[0], *arguments]
    hydra_task_config(name_of(job), agent_entry_point(job.training.rl_library))(run)()
    launcher.app.close()


def _run(job: SimulationJob, env_config: Any, agent: Any) -> None:  # noqa: ANN401
    import gymnasium

    from container.simulators.common.evaluate import evaluate as run_episodes
    from container.simulators.common.evaluate import write_metrics, write_summary
    from container.simulators.common.export import is_exported, load_exported
    from container.simulators.isaaclab.environment import IsaacLabEpisodes, Signals
    from container.simulators.isaaclab.libraries import LoadedPolicy, find_library

    training = job.training
    assert job.policy is not None
    env_config.scene.num_envs = training.num_envs
    env_config.seed = seed = _DEFAULT_SEED if training.seed is None else training.seed
    env = gymnasium.make(
        name_of(job),
        cfg=env_config,
        render_mode="rgb_array" if training.record_video else None,
        disable_env_checker=True,
    )
    base: Any = env.unwrapped
    video = None
    if training.record_video:
        env = video = gymnasium.wrappers.RecordVideo(
            env,
            video_folder=str(EVALUATION_VIDEOS),
            step_trigger=lambda step: step == 0,
            video_length=min(training.steps_per_episode, base.max_episode_length),
            # A task's name may have a namespace.
            name_prefix=name_of(job).replace("/", "-"),
            disable_logger=True,
        )
    signals = Signals(env)
    adapter = find_library(training.rl_library).adapt(signals, agent)
    if is_exported(job.policy):
        observations = adapter.reset()
        act = load_exported(job.policy, observations, adapter.num_actions)
        policy = LoadedPolicy(act, observations.shape[1], adapter.device, None, "")
    else:
        policy = adapter.load(job.policy)
    episodes = IsaacLabEpisodes(adapter, signals, policy)

    def tell(done: int) -> None:
        print(f"Evaluated episodes: {done}/{training.num_episodes}", flush=True)  # noqa: T201 - the contract's line

    # The libraries' wrappers have reset it, each as often as it likes: the episodes shall be the same for all of them.
    base.seed(seed)
    counted = run_episodes(episodes, policy.act, training.num_episodes, training.steps_per_episode, tell)
    write_metrics(counted)
    if video is not None and video.recording:
        video.stop_recording()  # type: ignore[no-untyped-call]
    # Last: it tells the runner that everything is there.
    write_summary(counted, episodes.success_definition)
    end_soon()
    env.close()
