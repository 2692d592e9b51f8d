"""What Isaac Lab's releases call the same task: `Isaac-Cartpole-v0` of 2.3 is `Isaac-Cartpole` of 3.0.

The names are those that isaaclab_tasks registers in 2.3.2 and in 3.0.0. Which of the candidates a simulator has, its
own registry says: here is only how they may be called.
"""

from __future__ import annotations

import re

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


def is_of_isaaclab3(task: str) -> bool:
    """Return whether a name is one that Isaac Lab gives its tasks since 3.0: without a version."""
    return task.startswith((_OWN, _CONTRIBUTED)) and not _VERSION.search(task)


def is_for_playing(task: str) -> bool:
    """Return whether a name of 2.3 is that of a variant for playing, which in 3.0 is a mode of the same task."""
    return _PLAY in task


def names_in_isaaclab3(task: str) -> list[str]:
    """List what Isaac Lab 3.0 may call a task, the likeliest first; the name itself is one of them.

    Args:
        task: A name of any release.
    """
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
    core = _VERSION.sub("", task).removeprefix(_CONTRIBUTED).removeprefix(_OWN)
    old = {new: old for old, new in _RENAMED.items()}.get(core, core)
    for old_part, new_part in _PARTS:
        old = old.replace(new_part, old_part)
    return list(dict.fromkeys([task, f"{_OWN}{old}-v0", f"{_OWN}{core}-v0"]))
