"""The tasks that can be trained and evaluated: Isaac Lab's, and those of a custom environment."""

from __future__ import annotations

import difflib

from container.simulators.common.custom_environment import import_custom_environment, unknown_task
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import SimulationJob

_AGENT = "_cfg_entry_point"


def register_tasks(job: SimulationJob) -> None:
    """Import what registers tasks; the simulation app has started, and no task has been looked up yet.

    Raises:
        RequestError: The task, or its settings for the RL library, are not there.
    """
    import isaaclab_tasks  # noqa: F401 - registers Isaac Lab's tasks

    import_custom_environment(job.custom_environment)
    _check(name_of(job), job.training.rl_library)


def name_of(job: SimulationJob) -> str:
    """Name of the task, without Gymnasium's `module:` in front of it."""
    return job.training.task.rpartition(":")[2]


def agent_entry_point(library: RlLibrary) -> str:
    """Under which name a task registers its settings for a library."""
    return f"{library}{_AGENT}"


def _check(task: str, library: RlLibrary) -> None:
    import gymnasium

    specs = {name: spec for name, spec in gymnasium.registry.items() if f"env{_AGENT}" in spec.kwargs}
    if task not in specs:
        raise unknown_task(task, specs, "Isaac Lab")
    known = [name.removesuffix(_AGENT) for name in specs[task].kwargs if name.endswith(_AGENT)]
    known.remove("env")
    if library not in known:
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, for which {task} has no settings, allowed: "
            f"{', '.join(difflib.get_close_matches(library, known, n=len(known) or 1, cutoff=0)) or 'none'}"
        )
