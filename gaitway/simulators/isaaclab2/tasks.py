"""The tasks that can be trained and evaluated: Isaac Lab's, and those of a custom environment."""

from __future__ import annotations

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable
from gaitway.simulators.common.isaaclab.tasks import check_task, name_of


def register_tasks(job: SimulationJob) -> None:
    """Import what registers tasks; the simulation app has started, and no task has been looked up yet.

    Raises:
        RequestError: The task, or its settings for the RL library, are not there.
    """
    make_importable(job.custom_environment)
    import isaaclab_tasks  # noqa: F401 - registers Isaac Lab's tasks

    task = name_of(job)
    imported = import_custom_environment(job.custom_environment, task)
    check_task(task, job.asks(LibraryConfig).rl_library, "isaaclab-2", "Isaac Lab", imported)
