"""The tasks that can be trained and evaluated: Isaac Lab's with Newton physics, and those of a custom environment."""

from __future__ import annotations

from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.libraries.tasks import names_in_isaaclab3
from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable
from gaitway.simulators.common.isaaclab.tasks import check_task, known_name, name_of

_NAME = "Isaac Lab 3.0"
_PREFERRED = "newton_mjwarp"
"""The solver that NVIDIA's own figures are for."""
_NEWTON = "newton"


def register_tasks(job: SimulationJob) -> str:
    """Import what registers tasks, before any is looked up.

    Returns:
        The name of the job's task here: a request may have that of Isaac Lab 2.

    Raises:
        RequestError: The task, or its settings for the RL library, are not there.
    """
    make_importable(job.custom_environment)
    import isaaclab_tasks  # noqa: F401 - registers Isaac Lab's tasks
    from isaaclab.cli import load_external_tasks

    # Of packages that the image holds.
    load_external_tasks()
    imported = import_custom_environment(job.custom_environment, name_of(job))
    task = known_name(names_in_isaaclab3(name_of(job)), _NAME)
    check_task(task, job.asks(LibraryConfig).rl_library, "isaaclab-3", _NAME, imported)
    return task


def physics_preset(task: str) -> str | None:
    """Choose the preset that gives a task Newton's physics; None if the task needs none.

    Raises:
        RequestError: The task has other physics only, which need Isaac Sim.
    """
    from isaaclab_tasks.utils import load_cfg_from_registry
    from isaaclab_tasks.utils.hydra import collect_presets
    from isaaclab_tasks.utils.preset_target import PresetTarget

    config = load_cfg_from_registry(task, "env_cfg_entry_point")
    presets = [
        name
        for alternatives in collect_presets(config).values()
        for name, value in alternatives.items()
        if name.startswith(_NEWTON) and PresetTarget.PHYSICS.matches(value)
    ]
    if presets:
        return _PREFERRED if _PREFERRED in presets else min(presets)
    if _is_newton(getattr(config.sim, "physics", None)):
        return None
    raise RequestError(
        f"trainingConfig.task is {task!r}, which has no physics for Newton in {_NAME}; it needs Isaac Sim: use the "
        "simulator isaaclab-2, or a task that has a preset physics=newton_..."
    )


def _is_newton(physics: Any) -> bool:  # noqa: ANN401
    return type(physics).__module__.startswith("isaaclab_newton")
