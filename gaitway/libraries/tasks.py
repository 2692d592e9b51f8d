"""What Isaac Lab's releases call the same task: `Isaac-Cartpole-v0` of 2.3 is `Isaac-Cartpole` of 3.0.

`tasks.json` has the names that isaaclab_tasks registers in 2.3.2 and in 3.0.0, and which of the latter have physics for
Newton; `python -m handbook.tasks` writes it. With it functions decide before a machine is paid for. Tasks of custom
environments are not in it: which of the candidates a simulator has, its own registry says.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gaitway.libraries.simulators import Simulator

TABLE = Path(__file__).with_name("tasks.json")

_VERSION = re.compile(r"-v\d+$")
_PLAY = "-Play"
_OWN, _CONTRIBUTED = "Isaac-", "IsaacContrib-"

_RENAMED = {
    "Cart-Double-Pendulum-Direct": "Pendulum-MARL-Direct",
    "Dexsuite-Kuka-Allegro-Lift": "Lift-KukaAllegro",
    "Dexsuite-Kuka-Allegro-Reorient": "Reorient-KukaAllegro",
    "Franka-Cabinet-Direct": "Open-Drawer-Franka-Direct",
    "Repose-Cube-Shadow-Vision-Direct": "Reorient-Cube-Shadow-Camera-Direct",
    "Shadow-Hand-Over-Direct": "Shadow-Handover-Direct",
}
"""Whole names of 2.3, without what stands before and behind."""
_PARTS = (
    ("Repose-", "Reorient-"),
    ("OpenArm-Bi", "OpenArmBi"),
    *((f"Anymal-{kind}", f"Anymal{kind}") for kind in "BCD"),
    *((f"Unitree-{kind}", f"Unitree{kind}") for kind in ("A1", "Go1", "Go2")),
)
"""Parts of names, of 2.3 and of 3.0."""


@dataclass(frozen=True)
class KnownTasks:
    """The tasks of Isaac Lab's releases."""

    of_isaaclab2: frozenset[str]
    of_isaaclab3: dict[str, bool | None]
    """Whether each has physics for Newton; None where that is not known."""
    of_embedded: frozenset[str]
    """Names of Isaac Lab 2."""

    def name_in(self, simulator: Simulator, task: str) -> str | None:
        """Find what a simulator calls a task; None if it has no such task of Isaac Lab's.

        Args:
            simulator: The simulator.
            task: A name of any release, without Gymnasium's `module:` in front of it.
        """
        match simulator:
            case "isaaclab-3":
                return next((name for name in names_in_isaaclab3(task) if name in self.of_isaaclab3), None)
            case "isaaclab-2":
                return next((name for name in names_in_isaaclab2(task) if name in self.of_isaaclab2), None)
            case "embedded":
                return next((name for name in names_in_isaaclab2(task) if name in self.of_embedded), None)

    def lacks_newton(self, task: str) -> bool:
        """Return whether a task, by its name in 3.0, is known to have no physics for Newton."""
        return self.of_isaaclab3.get(task) is False

    def means(self, task: str) -> Simulator:
        """Return the simulator that a name means: that which has it, else by its version, which names of 3.0 lack."""
        if task in self.of_isaaclab2:
            return "isaaclab-2"
        return "isaaclab-2" if has_version(task) and task not in self.of_isaaclab3 else "isaaclab-3"


@cache
def known_tasks() -> KnownTasks:
    """Read the table."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return KnownTasks(frozenset(table["isaaclab-2"]), table["isaaclab-3"], frozenset(table["embedded"]))


def has_version(task: str) -> bool:
    """Return whether a name ends with a version, `-v0`, as those of tasks of Isaac Lab 2 do."""
    return _VERSION.search(task) is not None


def is_for_playing(task: str) -> bool:
    """Return whether a name of 2.3 is that of a variant for playing, which in 3.0 is a mode of the same task."""
    return _PLAY in task


def names_in_isaaclab3(task: str) -> list[str]:
    """List what Isaac Lab 3.0 may call a task, the likeliest first; the name itself is one of them.

    Args:
        task: A name of any release.
    """
    if _is_of_another_version(task):
        return [task]
    core = _VERSION.sub("", task).replace(_PLAY, "").removeprefix(_OWN)
    new = _RENAMED.get(core, core)
    for old_part, new_part in _PARTS:
        new = new.replace(old_part, new_part)
    return list(dict.fromkeys([task, f"{_OWN}{new}", f"{_CONTRIBUTED}{new}"]))


def names_in_isaaclab2(task: str) -> list[str]:
    """List what Isaac Lab 2.3 may call a task, the likeliest first; the name itself is one of them.

    Args:
        task: A name of any release.
    """
    if _is_of_another_version(task):
        return [task]
    core = _VERSION.sub("", task).removeprefix(_CONTRIBUTED).removeprefix(_OWN)
    old = {new: old for old, new in _RENAMED.items()}.get(core, core)
    for old_part, new_part in _PARTS:
        old = old.replace(new_part, old_part)
    return list(dict.fromkeys([task, f"{_OWN}{old}-v0", f"{_OWN}{core}-v0"]))


def _is_of_another_version(task: str) -> bool:
    # Isaac Lab 2 has -v0 only: any other is a slip, or somebody else's task.
    return has_version(task) and not task.endswith("-v0")
