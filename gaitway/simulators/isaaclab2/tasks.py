"""The tasks that can be trained and evaluated: Isaac Lab's, and those of a custom environment."""

from __future__ import annotations

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.libraries.tasks import known_tasks
from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable
from gaitway.simulators.common.isaaclab.tasks import check_task, name_of


def with_own_name(job: SimulationJob) -> SimulationJob:
    """Give a job's task the name that it has here, and say so: a request may have that of Isaac Lab 3."""
    wanted = name_of(job)
    name = known_tasks().name_in("isaaclab-2", wanted)
    if name is None or name == wanted:
        return job
    print(f"The task {wanted} is {name} in Isaac Lab 2.3.2", flush=True)  # noqa: T201 - for the run's log
    task = job.training.task.removesuffix(wanted) + name
    return job.model_copy(update={"training": job.training.model_copy(update={"task": task})})


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
