"""What a job asks for, done: a training or an evaluation in the working directory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from container.simulators.common.collectives import joined
from container.simulators.common.custom_environment import import_custom_environment
from container.simulators.common.export import Origin, export_policy, is_exported, load_exported
from container.simulators.common.files import run_directory_of
from container.simulators.common.policy import Policy
from container.simulators.common.ranks import Ranks
from container.simulators.embedded.environment import VectorEnvironment
from container.simulators.embedded.files import make_run_directory, write_params
from container.simulators.embedded.libraries import Library, Training, find_library
from container.simulators.embedded.overrides import apply_overrides
from container.simulators.embedded.registry import Task, find_task
from container.simulators.embedded.video import Ending, Recorder, TrainingVideos
from gaitway.contracts.checkpoints import completed_iterations
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import (
    EVALUATION_DIRECTORY,
    EVALUATION_VIDEOS,
    LOGS_DIRECTORY,
    SimulationJob,
)


def run(job: SimulationJob, ranks: Ranks) -> None:
    """Do what the job says, in the working directory.

    Raises:
        RequestError: Names what the job asks for and is not there, and what there is.
        NotANumberError: The training diverged.
    """
    training = job.training
    import_custom_environment(job.custom_environment)
    task = find_task(training.task, training.rl_library)
    config, agent = apply_overrides(task.environment, task.agents[training.rl_library], training.hydra_overrides)
    config = replace(config, scene=replace(config.scene, num_envs=training.num_envs))
    agent = agent.requested(training)
    if training.mode == "train":
        with joined(ranks, ranks.device()):
            _train(job, task, config, agent, ranks)
    elif ranks.is_distributed:
        raise RequestError("gpusPerNode and numNodes: an evaluation runs in one process, allowed: 1")
    else:
        _evaluate(job, task, config, agent, ranks)


def _train(job: SimulationJob, task: Task, config: Any, agent: Any, ranks: Ranks) -> None:  # noqa: ANN401
    library_name = job.training.rl_library
    completed = _completed_iterations(job, agent)
    seed = ranks.seed(agent.seed, completed)
    environment = task.make_environment(config, seed, ranks.device())
    directory = _directory(job, agent, ranks)
    videos = None
    if ranks.leads:
        write_params(directory, env=config, agent=agent)
        if job.training.record_video:
            first_step = completed * agent.steps_per_iteration
            videos = TrainingVideos(environment, task.name, directory / "videos" / "train", first_step)
    library = find_library(library_name)
    # An attempt may have ended after its last iteration, and before it exported anything.
    if completed < agent.iterations:
        training = Training(
            directory=directory,
            ranks=ranks,
            seed=seed,
            initial_weights=None if job.continue_from else job.resume_checkpoint,
            continue_from=job.continue_from,
            completed_iterations=completed,
            on_step=videos.on_step if videos else None,
        )
        library.train(environment, agent, training)
    if videos:
        videos.close()
    if ranks.leads:
        _export(job, task, library, environment, directory, agent)


def _completed_iterations(job: SimulationJob, agent: Any) -> int:  # noqa: ANN401
    if job.continue_from is None:
        return 0
    completed = completed_iterations(job.training.rl_library, job.continue_from.name, agent.steps_per_iteration)
    if completed is None:
        raise RequestError(f"{job.continue_from} does not tell by its name how many iterations it was trained for")
    return completed


def _directory(job: SimulationJob, agent: Any, ranks: Ranks) -> Path:  # noqa: ANN401
    """Choose where a training goes; a continued one stays where it is."""
    library = job.training.rl_library
    if job.continue_from is not None:
        return run_directory_of(job.continue_from, library)
    if ranks.leads:
        return make_run_directory(library, agent.experiment, agent.run_suffix)
    return LOGS_DIRECTORY


def _export(
    job: SimulationJob,
    task: Task,
    library: Library,
    environment: VectorEnvironment,
    directory: Path,
    agent: Any,  # noqa: ANN401
) -> None:
    """Export the policy of the final checkpoint, as it is on the disk."""
    name = job.training.rl_library
    (checkpoint, *_) = [
        path
        for path in sorted(directory.rglob("*.pt*"), key=lambda path: path.stat().st_mtime, reverse=True)
        if completed_iterations(name, path.name, agent.steps_per_iteration) == agent.iterations
    ]
    policy = library.load_policy(checkpoint, environment, agent)
    origin = Origin(task.name, name, checkpoint, agent.iterations)
    export_policy(policy, environment.observe().shape[1], environment.device, directory, origin)


def _evaluate(job: SimulationJob, task: Task, config: Any, agent: Any, ranks: Ranks) -> None:  # noqa: ANN401
    # pandas takes as long to import as a short evaluation takes to run, and training has no use for it.
    from container.simulators.common.evaluate import evaluate, write_metrics, write_summary

    training = job.training
    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    environment = task.make_environment(config, agent.seed, ranks.device())
    # What an earlier attempt left is no result of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    policy = _load_policy(job.policy, find_library(training.rl_library), environment, agent)

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


def _load_policy(path: Path, library: Library, environment: VectorEnvironment, agent: Any) -> Policy:  # noqa: ANN401
    if is_exported(path):
        return load_exported(path, environment.observe(), environment.num_actions)
    return library.load_policy(path, environment, agent).act
