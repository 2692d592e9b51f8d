"""The existing state machines, and how each is written to a file."""

from __future__ import annotations

import json
from collections.abc import Callable

from statemachines.pipeline import pipeline
from statemachines.states import State
from statemachines.workflow import workflow

MACHINES: dict[str, Callable[[], State]] = {"pipeline": pipeline, "workflow": workflow}
"""The function that builds each machine, by the machine's name."""


def render(name: str) -> str:
    """Return a machine's document, as it is deployed."""
    return json.dumps(MACHINES[name](), indent=2)
