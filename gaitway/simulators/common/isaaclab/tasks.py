"""Tasks of Isaac Lab, of either release, and their settings for an RL library."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import LibraryConfig
from gaitway.libraries import RlLibrary
from gaitway.libraries.simulators import SIMULATORS, Simulator
from gaitway.simulators.common.custom_environment import Imported, unknown_task

_AGENT = "_cfg_entry_point"


def name_of(job: SimulationJob) -> str:
    """Name of the task, without Gymnasium's `module:` in front of it."""
    return job.training.task.rpartition(":")[2]


def known_name(names: Sequence[str], simulator: str) -> str:
    """Choose the name under which a task is registered here, and say so if that is not the requested one.

    Args:
        names: What the task may be called; the requested name is the first.
        simulator: What the message calls this simulator.

    Returns:
        The requested name if none is registered.
    """
    import gymnasium

    wanted = names[0]
    name = next((name for name in names if name in gymnasium.registry), wanted)
    if name != wanted:
        print(f"The task {wanted} is {name} in {simulator}", flush=True)  # noqa: T201 - for the run's log
    return name


def agent_entry_point(library: RlLibrary) -> str:
    """Under which name a task registers its settings for a library."""
    return f"{library}{_AGENT}"


def agent_settings(job: SimulationJob) -> dict[str, Any]:
    """Return the task's settings for the request's library, as it registers them."""
    from isaaclab_tasks.utils import load_cfg_from_registry

    settings: Any = load_cfg_from_registry(name_of(job), agent_entry_point(job.asks(LibraryConfig).rl_library))
    plain: dict[str, Any] = settings if isinstance(settings, dict) else settings.to_dict()
    return plain


def check_task(task: str, library: RlLibrary, simulator: Simulator, name: str, imported: Imported) -> None:
    """Check that a task is registered, with settings for an RL library.

    Args:
        task: Its name.
        library: The library.
        simulator: The simulator whose libraries count.
        name: What an error calls it.
        imported: What became of the custom environment's packages.

    Raises:
        RequestError: It names the nearest tasks, or the libraries that it has settings for.
    """
    import gymnasium

    specs = {name: spec for name, spec in gymnasium.registry.items() if f"env{_AGENT}" in spec.kwargs}
    if task not in specs:
        raise unknown_task(task, specs, name, imported)
    known = [name.removesuffix(_AGENT) for name in specs[task].kwargs if name.endswith(_AGENT)]
    known = [library for library in known if library in SIMULATORS[simulator].libraries]
    if library not in known:
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, for which {task} has no settings, allowed: "
            f"{', '.join(difflib.get_close_matches(library, known, n=len(known) or 1, cutoff=0)) or 'none'}"
        )
