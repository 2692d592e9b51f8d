"""Evaluate a policy in Isaac Lab 3.0."""

from __future__ import annotations

import argparse
import shutil
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, EVALUATION_VIDEOS, SimulationJob
from gaitway.contracts.workload import EvaluationConfig
from gaitway.libraries.tasks import is_for_playing
from gaitway.simulators.common.isaaclab.arguments import seed_of
from gaitway.simulators.common.ran_with import write_ran_with
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.drawing import can_draw
from gaitway.simulators.isaaclab3.settings import TaskSettings, read_settings
from gaitway.simulators.isaaclab3.tasks import register_tasks


def evaluate(job: SimulationJob, assets: Assets) -> None:
    """Run an evaluation in the working directory.

    Raises:
        RequestError: The job requests something that does not exist.
        PlatformError: Assets are missing.
    """
    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    training = job.asks(EvaluationConfig)
    # Files of an earlier attempt are not results of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    task = register_tasks(job)
    settings = read_settings(task, job, play_mode=is_for_playing(training.task))
    assets.watch()
    assets.require(task, settings.env)

    from isaaclab.app import add_launcher_args

    from gaitway.simulators.isaaclab3.launch import launch_quietly

    write_ran_with("isaaclab-3", job, Ranks())
    device = str(Ranks().device())
    settings.env.scene.num_envs = training.num_envs
    settings.env.sim.device = device
    parser = argparse.ArgumentParser()
    add_launcher_args(parser)
    with launch_quietly(settings.env, parser.parse_args(["--device", device])), assets.explained(task):
        _run(job, task, settings)


def _run(job: SimulationJob, task: str, settings: TaskSettings) -> None:
    import gymnasium
    from isaaclab.envs import DirectMARLEnvCfg, multi_agent_to_single_agent

    from gaitway.simulators.common.isaaclab.evaluate import evaluate_policy
    from gaitway.simulators.isaaclab3.launch import add_live_view
    from gaitway.simulators.isaaclab3.libraries import find_library
    from gaitway.simulators.isaaclab3.video import film, record_with_ours

    training = job.asks(EvaluationConfig)
    settings.env.seed = seed = seed_of(training)
    if training.record_video and can_draw():
        # A task's name may have a namespace.
        film(settings.env, EVALUATION_VIDEOS, task.replace("/", "-"), training.steps_per_episode)
        record_with_ours()
    if training.live_view:
        add_live_view(settings.env)
    env: Any = gymnasium.make(task, cfg=settings.env, disable_env_checker=True)
    recorders = list(env.unwrapped.video_recorders)
    if isinstance(settings.env, DirectMARLEnvCfg) and training.rl_library != "skrl":
        env = multi_agent_to_single_agent(env)
    library = find_library(training.rl_library)

    def finish_video() -> None:
        for recorder in recorders:
            recorder.close()

    evaluate_policy(job, env, settings.agent, library, seed, finish_video)
