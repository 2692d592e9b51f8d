"""Run a job: a training or an evaluation in the working directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import (
    EVALUATION_DIRECTORY,
    EVALUATION_VIDEOS,
    LOGS_DIRECTORY,
    SimulationJob,
)
from gaitway.contracts.workload import EvaluationConfig, LibraryConfig, TrainingConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.checkpoints import completed_iterations, length_beside
from gaitway.simulators.common.collectives import joined
from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable
from gaitway.simulators.common.export import Origin, export_policy, is_exported, load_exported, say_not_exported
from gaitway.simulators.common.files import run_directory_of
from gaitway.simulators.common.optional import optional
from gaitway.simulators.common.policy import Policy
from gaitway.simulators.common.ran_with import write_ran_with
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.recorded import recorded_overrides
from gaitway.simulators.common.resumption import counted, note_resumption
from gaitway.simulators.embedded.files import make_run_directory, plain, write_params
from gaitway.simulators.embedded.libraries import Library, Training, find_library
from gaitway.simulators.embedded.overrides import apply_overrides
from gaitway.simulators.embedded.registry import Task, bare_name, find_task
from gaitway.simulators.embedded.vector_environment import VectorEnvironment
from gaitway.simulators.embedded.video import Ending, Recorder, TrainingVideos


def run(job: SimulationJob, ranks: Ranks) -> None:
    """Run the job in the working directory.

    Raises:
        RequestError: Names what the job requests and does not exist, and what exists.
        NotANumberError: The training diverged.
    """
    training = job.asks(LibraryConfig)
    make_importable(job.custom_environment)
    imported = import_custom_environment(job.custom_environment, bare_name(training.task))
    task = find_task(training.task, training.rl_library, imported)
    config, agent = _configure(job, training, task)
    config = replace(config, scene=replace(config.scene, num_envs=training.num_envs))
    write_ran_with("embedded", job, ranks)
    match training:
        case TrainingConfig():
            with joined(ranks, ranks.device()):
                _train(job, training, task, config, agent.requested(training), ranks)
        case EvaluationConfig() if ranks.is_distributed:
            raise RequestError("gpusPerNode and numNodes: an evaluation runs in one process, allowed: 1")
        case EvaluationConfig():
            _evaluate(job, training, task, config, agent.seeded(training.seed), ranks)
        case other:
            raise RequestError(f"trainingConfig.mode is {other.mode!r}, which the embedded simulator cannot do")


def _configure(job: SimulationJob, training: LibraryConfig, task: Task) -> tuple[Any, Any]:
    """Apply the settings of a given checkpoint's training, then the request's overrides."""
    agent = task.agents[training.rl_library]
    try:
        _, agent = apply_overrides(task.environment, agent, recorded_overrides(job, plain(agent)))
    except RequestError as error:
        # They are no part of the request; if the checkpoint does not fit, its loading says so.
        print(f"The settings of the checkpoint's training are not used: {error}")  # noqa: T201
    return apply_overrides(task.environment, agent, training.hydra_overrides)


def _train(
    job: SimulationJob,
    asked: TrainingConfig,
    task: Task,
    config: Any,  # noqa: ANN401
    agent: Any,  # noqa: ANN401
    ranks: Ranks,
) -> None:
    completed = _completed_iterations(job, asked, agent)
    seed = ranks.seed(agent.seed, completed)
    environment = task.make_environment(config, seed, ranks.device())
    directory = _directory(job, asked.rl_library, task.name, agent, ranks)
    videos = None
    if completed:
        environment.common_step_counter = completed * agent.steps_per_iteration
        environment.reset()
    if ranks.leads:
        if completed:
            restored = [counted(environment.common_step_counter)]
            note_resumption(directory, completed, restored, ["what the task keeps besides that counter"])
        write_params(directory, env=config, agent=agent)
        if asked.record_video:
            first_step = completed * agent.steps_per_iteration
            videos = TrainingVideos(environment, task.name, directory / "videos" / "train", first_step)
    library = find_library(asked.rl_library)
    # An attempt may have ended after its last iteration, and before it exported anything.
    if completed < asked.max_iterations:
        training = Training(
            directory=directory,
            ranks=ranks,
            seed=seed,
            initial_weights=None if job.continue_from else job.resume_checkpoint,
            continue_from=job.continue_from,
            completed_iterations=completed,
            checkpoint_interval=asked.checkpoint_interval,
            on_step=videos.on_step if videos else None,
        )
        library.train(environment, agent, training)
    if videos:
        videos.close()
    if ranks.leads:
        _export(asked, task, library, environment, directory, agent)


def _completed_iterations(job: SimulationJob, asked: TrainingConfig, agent: Any) -> int:  # noqa: ANN401
    if job.continue_from is None:
        return 0
    completed = completed_iterations(asked.rl_library, job.continue_from.name, _length(asked, agent))
    if completed is None:
        raise RequestError(
            f"the name of {job.continue_from} does not contain the number of iterations it was trained for"
        )
    before = length_beside(asked.rl_library, job.continue_from)
    if before not in (None, _length(asked, agent)):
        raise RequestError(
            f"{job.continue_from.name} counts steps, of which an iteration had {before}, and now has "
            f"{_length(asked, agent)}: continue with the settings that it was trained with"
        )
    return completed


def _length(asked: TrainingConfig, agent: Any) -> int:  # noqa: ANN401
    """Return how many of the library's units an iteration has."""
    return record_of(asked.rl_library).length(agent.steps_per_iteration, asked.num_envs)


def _directory(job: SimulationJob, library: RlLibrary, task: str, agent: Any, ranks: Ranks) -> Path:  # noqa: ANN401
    """Choose a training's directory; a continued training keeps its own."""
    if job.continue_from is not None:
        return run_directory_of(job.continue_from, library)
    if ranks.leads:
        return make_run_directory(library, agent.experiment or task, agent.run_suffix)
    return LOGS_DIRECTORY


def _checkpoints(directory: Path, library: RlLibrary) -> Iterator[Path]:
    return directory.rglob(f"*{record_of(library).checkpoints.suffix}")


def _export(
    asked: TrainingConfig,
    task: Task,
    library: Library,
    environment: VectorEnvironment,
    directory: Path,
    agent: Any,  # noqa: ANN401
) -> None:
    """Export the policy of the final checkpoint, as read from the disk."""
    name = asked.rl_library
    (checkpoint, *_) = [
        path
        for path in sorted(_checkpoints(directory, name), key=lambda path: path.stat().st_mtime, reverse=True)
        if completed_iterations(name, path.name, _length(asked, agent)) == asked.max_iterations
    ]
    policy = library.load_policy(checkpoint, environment, agent)
    origin = Origin(task.name, name, checkpoint, asked.max_iterations)
    try:
        export_policy(policy, environment.observe().shape[1], environment.device, directory, origin)
    except Exception as error:
        # A training is worth more than its export, which can be done again from the checkpoint.
        say_not_exported(directory, f"{type(error).__name__}: {error}")


def _evaluate(
    job: SimulationJob,
    asked: EvaluationConfig,
    task: Task,
    config: Any,  # noqa: ANN401
    agent: Any,  # noqa: ANN401
    ranks: Ranks,
) -> None:
    # Importing pandas takes as long as a short evaluation, and training does not need it.
    from gaitway.simulators.common.evaluate import evaluate, write_metrics, write_summary

    if job.policy is None:
        raise RequestError("checkpointPath is missing: an evaluation needs a policy")
    environment = task.make_environment(config, agent.seed, ranks.device())
    # Files of an earlier attempt are not results of this one.
    shutil.rmtree(EVALUATION_DIRECTORY, ignore_errors=True)
    policy, forget = _load_policy(job.policy, find_library(asked.rl_library), environment, agent)

    def tell(done: int) -> None:
        print(f"Evaluated episodes: {done}/{asked.num_episodes}")  # noqa: T201 - the contract's progress line

    # Only environments that count in the first round have an episode to show.
    recorder = Recorder(environment, max_views=asked.num_episodes) if asked.record_video else None
    on_step = recorder.record if recorder else None
    episodes = evaluate(environment, policy, asked.num_episodes, asked.steps_per_episode, tell, on_step, forget)
    write_metrics(episodes)
    if recorder:
        endings = [
            Ending(episode.length, episode.success, "success" if episode.success else episode.termination)
            for episode in episodes[: recorder.num_views]
        ]
        with optional("there is no video of the evaluation"):
            recorder.write(EVALUATION_VIDEOS / f"{task.name}.mp4", task.name, job.policy.name, endings)
    # Last: it signals to the runner that everything is written.
    write_summary(episodes, environment.success_definition)


def _load_policy(
    path: Path,
    library: Library,
    environment: VectorEnvironment,
    agent: Any,  # noqa: ANN401
) -> tuple[Policy, Callable[[], None] | None]:
    """Load a policy, and what empties its memory if it has one."""
    if is_exported(path):
        return load_exported(path, environment.observe(), environment.num_actions), None
    policy = library.load_policy(path, environment, agent)
    return policy.act, policy.memory.forget if policy.memory else None
