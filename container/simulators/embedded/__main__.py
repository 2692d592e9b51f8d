"""Run a simulation: `python -m container.simulators.embedded simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job asks for what is not there. Any other error is left to its traceback.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch

from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.files import make_run_directory, write_params
from container.simulators.embedded.libraries import LIBRARIES
from container.simulators.embedded.overrides import apply_overrides
from container.simulators.embedded.registry import Task, find_task
from container.simulators.embedded.video import Ending, Recorder, TrainingVideos
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import EVALUATION_DIRECTORY, EVALUATION_VIDEOS, EXIT_BAD_REQUEST, SimulationJob

CPU_THREADS = 1
"""With networks this small two threads gain nothing, and lose a factor of two to eight where the runner or an emulated
cloud is at work on the other core: 50 iterations with 256 environments took 3.5 s with one, 5.8 s and 27 s with two."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job says."""
    parser = argparse.ArgumentParser(prog="python -m container.simulators.embedded", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json that the runner wrote")
    job_file = parser.parse_args(arguments).job
    if isinstance(sys.stdout, TextIOWrapper):
        # The runner follows progress line by line.
        sys.stdout.reconfigure(line_buffering=True)
    torch.set_num_threads(CPU_THREADS)
    try:
        run(SimulationJob.model_validate_json(job_file.read_text()))
    except RequestError as error:
        # One line: the runner reports the last one.
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201
        return EXIT_BAD_REQUEST
    return 0


def run(job: SimulationJob) -> None:
    """Do what the job says, in the working directory.

    Raises:
        RequestError: Names what the job asks for and is not there, and what there is.
    """
    training = job.training
    if job.custom_environment is not None:
        raise RequestError("customEnvironmentPath: the embedded simulator does not load custom environments")
    task = find_task(training.task, training.rl_library)
    config, agent = apply_overrides(task.environment, task.agents[training.rl_library], training.hydra_overrides)
    config = replace(config, scene=replace(config.scene, num_envs=training.num_envs))
    if training.seed is not None:
        agent = replace(agent, seed=training.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    environment = task.make_environment(config, agent.seed, device)
    if training.mode == "train":
        _train(job, task, environment, config, agent)
    else:
        _evaluate(job, task, environment, agent)


def _train(job: SimulationJob, task: Task, environment: VectorEnvironment, config: Any, agent: Any) -> None:  # noqa: ANN401
    training = job.training
    agent = replace(agent, max_iterations=training.max_iterations)
    if training.checkpoint_interval is not None:
        agent = replace(agent, save_interval=training.checkpoint_interval)
    directory = make_run_directory(training.rl_library, agent.experiment_name, agent.run_name)
    write_params(directory, env=config, agent=agent)
    videos = TrainingVideos(environment, task.name, directory / "videos" / "train") if training.record_video else None
    on_step = videos.on_step if videos else None
    LIBRARIES[training.rl_library].train(environment, agent, directory, job.resume_checkpoint, on_step)
    if videos:
        videos.close()


def _evaluate(job: SimulationJob, task: Task, environment: VectorEnvironment, agent: Any) -> None:  # noqa: ANN401
    # pandas takes as long to import as a short evaluation takes to run, and training has no use for it.
    from container.simulators.embedded.evaluate import evaluate, write_metrics, write_summary

    training = job.training
    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    # What an earlier attempt left is no result of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    policy = LIBRARIES[training.rl_library].load_policy(job.policy, environment, agent)

    def tell(done: int) -> None:
        print(f"Evaluated episodes: {done}/{training.num_episodes}")  # noqa: T201 - the contract's progress line

    # Only environments that count in the first round have an episode to show.
    recorder = Recorder(environment, max_views=training.num_episodes) if training.record_video else None
    on_step = recorder.record if recorder else None
    episodes = evaluate(environment, policy, training.num_episodes, training.steps_per_episode, tell, on_step)
    write_metrics(episodes)
    if recorder:
        endings = [
            Ending(episode.length, episode.success, "success" if episode.success else episode.termination)
            for episode in episodes[: recorder.num_views]
        ]
        recorder.write(EVALUATION_VIDEOS / f"{task.name}.mp4", task.name, job.policy.name, endings)
    # Last: it tells the runner that everything is there.
    write_summary(episodes, environment.success_definition)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
