"""Import the package of a custom environment, so that its tasks are registered, and say which tasks there are."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import CustomEnvironment

_NEAREST = 10
"""Isaac Lab alone registers some two hundred tasks."""


def import_custom_environment(custom: CustomEnvironment | None) -> None:
    """Import what registers further tasks; where there is none, do nothing.

    A simulator calls it when the simulation app has started, which the modules of Isaac Lab's tasks need, and before it
    looks up the task. What is raised is left to its traceback: the runner reads from it that the package is at fault.
    """
    if custom is None:
        return
    # What an image holds of the same name is hidden, as with an installation.
    sys.path.insert(0, str(custom.path))
    for module in custom.modules:
        importlib.import_module(module)


def unknown_task(task: str, known: Iterable[str], simulator: str) -> RequestError:
    """Say that a task is not registered, and name the nearest that are.

    Args:
        task: What the request asks for.
        known: The tasks that are registered.
        simulator: Who has them, in words.
    """
    nearest = difflib.get_close_matches(task, sorted(known), n=_NEAREST, cutoff=0)
    return RequestError(
        f"trainingConfig.task is {task!r}, which {simulator} does not have, nearest: {', '.join(nearest)}. A task of "
        "your own needs the package that registers it (customEnvironmentPath)"
    )
