"""Train with Isaac Lab's own script, watched."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from container.simulators.common.files import run_directory_of
from container.simulators.common.ranks import Ranks
from container.simulators.isaaclab.app import when_started
from container.simulators.isaaclab.arguments import skrl_checkpoint_interval, train_arguments
from container.simulators.isaaclab.installation import train_script
from container.simulators.isaaclab.tasks import agent_entry_point, name_of, register_tasks
from gaitway.contracts.checkpoints import completed_iterations, rollouts_of
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import SimulationJob


def train(job: SimulationJob, ranks: Ranks) -> None:
    """Run a library's train.py in this process, in the working directory.

    Raises:
        RequestError: What the job asks for is not there.
        NotANumberError: The training diverged.
    """
    training = job.training
    script = train_script(training.rl_library)
    directory = run_directory_of(job.continue_from, training.rl_library) if job.continue_from else None
    completed = _completed(job, directory)
    sys.argv = [str(script), *train_arguments(training, ranks, completed, directory)]
    # As Python does for the script that it is given: rsl_rl's imports what lies beside it.
    sys.path.insert(0, str(script.parent))

    def prepare() -> None:
        # The libraries are imported when the app has started.
        from container.simulators.isaaclab.libraries import Training, find_library

        register_tasks(job)
        if training.rl_library == "skrl" and (interval := _skrl_interval(job)):
            # Hydra reads the command line later.
            sys.argv.insert(1, interval)
        find_library(training.rl_library).watch(Training(job, ranks, completed, directory))

    with when_started(prepare):
        runpy.run_path(str(script), run_name="__main__")


def _completed(job: SimulationJob, directory: Path | None) -> int:
    if job.continue_from is None or directory is None:
        return 0
    library, name = job.training.rl_library, job.continue_from.name
    settings = directory / "params" / "agent.yaml"
    rollouts = rollouts_of(settings.read_text()) if library == "skrl" and settings.is_file() else None
    try:
        completed = completed_iterations(library, name, rollouts)
    except ValueError as error:
        raise RequestError(str(error)) from error
    if completed is None:
        raise RequestError(f"{job.continue_from} does not tell by its name how many iterations it was trained for")
    return completed


def _skrl_interval(job: SimulationJob) -> str | None:
    from isaaclab_tasks.utils import load_cfg_from_registry

    agent = load_cfg_from_registry(name_of(job), agent_entry_point("skrl"))
    return skrl_checkpoint_interval(job.training, agent["agent"]["rollouts"])


def only_one_speaks(ranks: Ranks) -> None:
    """Let the leading process alone print. By descriptor: Kit prints, too, and puts Python's own stream back."""
    if not ranks.leads:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, sys.stdout.fileno())
        os.close(silence)
