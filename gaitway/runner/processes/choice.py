"""Which of an image's simulators a run needs."""

from __future__ import annotations

import sys

from gaitway.libraries.simulators import SIMULATORS
from gaitway.libraries.tasks import is_of_isaaclab3
from gaitway.runner.host.environment import Environment


def simulator_command(task: str, environment: Environment) -> list[str]:
    """Return what starts the simulator of a run, the Python interpreter first.

    An image may hold Isaac Lab 3 beside a simulator of its own, which tasks of Isaac Lab 3 then do not need.

    Args:
        task: The run's task.
        environment: What the image and the deployment set.
    """
    needs_3 = "isaaclab-3" in environment.simulators and is_of_isaaclab3(task)
    module = SIMULATORS["isaaclab-3"].module if needs_3 else environment.simulator
    return [sys.executable, "-m", f"gaitway.simulators.{module}"]
