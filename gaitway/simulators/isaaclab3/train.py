"""Train with Isaac Lab's own entry point, watched."""

from __future__ import annotations

import signal
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import STOP_FILE, SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.files import completed_before, run_directory_of
from gaitway.simulators.common.ranks import Ranks, only_one_writes
from gaitway.simulators.isaaclab3.arguments import train_arguments
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.settings import read_settings
from gaitway.simulators.isaaclab3.tasks import register_tasks


def train(job_file: Path, job: SimulationJob, ranks: Ranks, assets: Assets) -> None:
    """Run a library's training in this process, in the working directory.

    Args:
        job_file: The `simulation.json`.
        job: Its contents.
        ranks: This process among those that train together.
        assets: What it may use.

    Raises:
        RequestError: The job requests something that does not exist.
        PlatformError: Assets are missing.
        NotANumberError: The training diverged.
    """
    training = job.asks(TrainingConfig)
    if ranks.is_distributed and ranks.device().type == "cpu":
        raise RequestError(
            "gpusPerNode and numNodes: Isaac Lab 3.0 trains in several processes on GPUs only, allowed: 1"
        )
    directory = run_directory_of(job.continue_from, training.rl_library) if job.continue_from else None
    completed = completed_before(job, directory)
    task = register_tasks(job)
    settings = read_settings(task, job)
    assets.watch()
    assets.require(task, settings.env)
    arguments = train_arguments(task, training, settings, ranks, completed, directory)

    # Imported now, since they take seconds, and a wrong request is to be refused at once.
    from isaaclab_rl.entrypoints import run_train_cli

    from gaitway.simulators.common.isaaclab.training import Training
    from gaitway.simulators.common.ran_with import write_ran_with
    from gaitway.simulators.isaaclab3.launch import launch_our_way
    from gaitway.simulators.isaaclab3.leapp import export_for_robot
    from gaitway.simulators.isaaclab3.libraries import find_library
    from gaitway.simulators.isaaclab3.video import record_with_ours

    def export_further(directory: Path, checkpoint: Path) -> None:
        export_for_robot(job_file, job, settings, directory, checkpoint)

    find_library(training.rl_library).watch(Training(job, ranks, completed, directory, export_further))
    record_with_ours()
    write_ran_with("isaaclab-3", job, ranks)
    launch_our_way(live_view=training.live_view and ranks.leads)
    if not ranks.is_distributed:
        # torchrun forwards the signal to every rank; there the next attempt resumes from the newest checkpoint.
        _save_on_sigterm()
    # Its backends let each rank write settings, and name its directory after the time at which that rank got there.
    with assets.explained(task), only_one_writes(ranks):
        code = run_train_cli(arguments)
    if code:
        raise SystemExit(code)


def _save_on_sigterm() -> None:
    """Take SIGTERM as a request to save and end: the runner sends it, and waits for ten seconds before SIGKILL."""
    stop_file = Path(STOP_FILE).absolute()
    signal.signal(signal.SIGTERM, lambda *_: stop_file.touch())
