"""The same task has another name in each release of Isaac Lab, and is found by either."""

from __future__ import annotations

import pytest

from gaitway.libraries.tasks import is_for_playing, names_in_isaaclab2, names_in_isaaclab3

SAME = {
    "Isaac-Cartpole-v0": "Isaac-Cartpole",
    "Isaac-Cartpole-Direct-v0": "Isaac-Cartpole-Direct",
    "Isaac-Ant-Direct-v0": "Isaac-Ant-Direct",
    "Isaac-Velocity-Rough-Anymal-C-v0": "IsaacContrib-Velocity-Rough-AnymalC",
    "Isaac-Velocity-Flat-Anymal-D-v0": "Isaac-Velocity-Flat-AnymalD",
    "Isaac-Velocity-Flat-Unitree-Go2-v0": "Isaac-Velocity-Flat-UnitreeGo2",
    "Isaac-Repose-Cube-Allegro-Direct-v0": "Isaac-Reorient-Cube-Allegro-Direct",
    "Isaac-Repose-Cube-Shadow-Vision-Direct-v0": "Isaac-Reorient-Cube-Shadow-Camera-Direct",
    "Isaac-Cart-Double-Pendulum-Direct-v0": "Isaac-Pendulum-MARL-Direct",
    "Isaac-Factory-PegInsert-Direct-v0": "IsaacContrib-Factory-PegInsert-Direct",
}
"""Registered by isaaclab_tasks of 2.3.2, and of 3.0.0."""


@pytest.mark.parametrize(("old", "new"), SAME.items())
def test_a_task_is_found_in_either_release_by_either_name(old: str, new: str) -> None:
    assert new in names_in_isaaclab3(old)
    assert old in names_in_isaaclab2(new)


@pytest.mark.parametrize("task", ["Mine-v0", "My-Walker", "Isaac-Cartpole-Direct", "mine:Walk-v3"])
def test_a_name_that_a_simulator_has_is_taken_first(task: str) -> None:
    assert names_in_isaaclab3(task)[0] == names_in_isaaclab2(task)[0] == task


def test_a_variant_for_playing_is_the_same_task_in_3_0() -> None:
    assert is_for_playing("Isaac-Velocity-Flat-H1-Play-v0")
    assert "Isaac-Velocity-Flat-H1" in names_in_isaaclab3("Isaac-Velocity-Flat-H1-Play-v0")
    assert not is_for_playing("Isaac-Velocity-Flat-H1")
