"""Evaluate a policy in Isaac Lab: Isaac Lab's own play.py measures nothing, and ends only with a video."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, EVALUATION_VIDEOS, SimulationJob
from gaitway.contracts.workload import EvaluationConfig
from gaitway.simulators.common.isaaclab.arguments import seed_of
from gaitway.simulators.common.isaaclab.tasks import agent_entry_point, agent_settings, name_of
from gaitway.simulators.common.ran_with import write_ran_with
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.recorded import recorded_overrides
from gaitway.simulators.isaaclab2.arguments import needs_cameras, overrides
from gaitway.simulators.isaaclab2.tasks import register_tasks


def evaluate(job: SimulationJob) -> None:
    """Run an evaluation in the working directory.

    Raises:
        RequestError: The job requests something that does not exist.
    """
    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    # Files of an earlier attempt are not results of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    arguments = overrides(job.training)

    from isaaclab.app import AppLauncher

    video = job.training.record_video
    launcher = AppLauncher({"headless": True, "enable_cameras": video or needs_cameras(job.training), "video": video})
    register_tasks(job)
    write_ran_with("isaaclab-2", job, Ranks())

    from isaaclab_tasks.utils.hydra import hydra_task_config

    def run(env_config: Any, agent: Any) -> None:  # noqa: ANN401
        _run(job, env_config, agent)

    # Hydra reads overrides from the command line, as it does for Isaac Lab's scripts.
    sys.argv = [sys.argv[0], *recorded_overrides(job, agent_settings(job)), *arguments]
    hydra_task_config(name_of(job), agent_entry_point(job.asks(EvaluationConfig).rl_library))(run)()
    launcher.app.close()


def _run(job: SimulationJob, env_config: Any, agent: Any) -> None:  # noqa: ANN401
    import gymnasium

    from gaitway.simulators.common.isaaclab.evaluate import evaluate_policy
    from gaitway.simulators.isaaclab2.libraries import find_library
    from gaitway.simulators.isaaclab2.videos import forgive_videos

    training = job.asks(EvaluationConfig)
    env_config.scene.num_envs = training.num_envs
    env_config.seed = seed = seed_of(training)
    env = gymnasium.make(
        name_of(job),
        cfg=env_config,
        render_mode="rgb_array" if training.record_video else None,
        disable_env_checker=True,
    )
    base: Any = env.unwrapped
    video = None
    if training.record_video:
        forgive_videos()
        env = video = gymnasium.wrappers.RecordVideo(
            env,
            video_folder=str(EVALUATION_VIDEOS),
            step_trigger=lambda step: step == 0,
            video_length=min(training.steps_per_episode, base.max_episode_length),
            # A task's name may have a namespace.
            name_prefix=name_of(job).replace("/", "-"),
            disable_logger=True,
        )

    def finish_video() -> None:
        if video is not None and video.recording:
            video.stop_recording()  # type: ignore[no-untyped-call]

    evaluate_policy(job, env, agent, find_library(training.rl_library), seed, finish_video)
