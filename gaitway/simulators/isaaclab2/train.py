"""Train with Isaac Lab's own script, watched."""

from __future__ import annotations

import runpy
import sys

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import record_of
from gaitway.simulators.common.files import completed_before, run_directory_of
from gaitway.simulators.common.isaaclab.arguments import checkpoint_interval_in_steps, counts_steps
from gaitway.simulators.common.isaaclab.tasks import agent_settings
from gaitway.simulators.common.ran_with import write_ran_with
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.recorded import recorded_overrides
from gaitway.simulators.isaaclab2.app import when_started
from gaitway.simulators.isaaclab2.arguments import find_script, train_arguments
from gaitway.simulators.isaaclab2.installation import train_script
from gaitway.simulators.isaaclab2.tasks import register_tasks


def train(job: SimulationJob, ranks: Ranks) -> None:
    """Run a library's train.py in this process, in the working directory.

    Raises:
        RequestError: The job requests something that does not exist.
        NotANumberError: The training diverged.
    """
    training = job.asks(TrainingConfig)
    find_script(training.rl_library)
    script = train_script(training.rl_library)
    directory = run_directory_of(job.continue_from, training.rl_library) if job.continue_from else None
    completed = completed_before(job, directory)
    sys.argv = [str(script), *train_arguments(training, ranks, completed, directory)]
    # As Python does for a script: rsl_rl's script imports modules beside it.
    sys.path.insert(0, str(script.parent))

    def prepare() -> None:
        # The libraries are imported when the app has started.
        from gaitway.simulators.common.isaaclab.training import Training
        from gaitway.simulators.isaaclab2.libraries import find_library
        from gaitway.simulators.isaaclab2.videos import forgive_videos

        forgive_videos()
        register_tasks(job)
        write_ran_with("isaaclab-2", job, ranks)
        if counts_steps(record_of(training.rl_library)) and (interval := _interval_in_steps(job)):
            # Hydra reads the command line later.
            sys.argv.insert(1, interval)
        if job.resume_checkpoint is not None or job.continue_from is not None:
            # In front of the request's own, which take precedence.
            sys.argv[1:1] = recorded_overrides(job, agent_settings(job))
        find_library(training.rl_library).watch(Training(job, ranks, completed, directory))

    with when_started(prepare):
        runpy.run_path(str(script), run_name="__main__")


def _interval_in_steps(job: SimulationJob) -> str | None:
    return checkpoint_interval_in_steps(job.asks(TrainingConfig), agent_settings(job)["agent"]["rollouts"])
