"""The same task has another name in each release of Isaac Lab, and is found by either."""

from __future__ import annotations

import pytest

from gaitway.installation import REPOSITORY_ROOT
from gaitway.libraries.tasks import (
    TABLE,
    has_version,
    is_for_playing,
    known_tasks,
    names_in_isaaclab2,
    names_in_isaaclab3,
)
from handbook.tasks import tasks_of_isaaclab2, tasks_of_isaaclab3, tasks_of_the_embedded_simulator, written
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3

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


def test_the_table_has_the_tasks_of_the_installed_releases() -> None:
    table = known_tasks()
    assert table.of_isaaclab2 == set(tasks_of_isaaclab2())
    assert table.of_embedded == set(tasks_of_the_embedded_simulator())
    assert table.of_embedded <= table.of_isaaclab2, "it has names of Isaac Lab 2"


@only_with_isaac_lab_3
def test_the_table_has_the_tasks_of_the_installed_isaac_lab_3() -> None:
    assert known_tasks().of_isaaclab3.keys() == tasks_of_isaaclab3(with_physics=False).keys()


@pytest.mark.slow
@only_with_isaac_lab_3
def test_the_table_is_what_would_be_written_today() -> None:
    assert TABLE.read_text(encoding="utf-8") == written(), "run python -m handbook.tasks"


def test_only_names_of_isaac_lab_2_have_versions_but_for_those_of_the_table() -> None:
    table = known_tasks()
    assert all(map(has_version, table.of_isaaclab2))
    exceptions = {task for task in table.of_isaaclab3 if has_version(task)}
    assert len(exceptions) < 10
    assert {table.means(task) for task in table.of_isaaclab3} == {"isaaclab-3"}
    assert {table.means(task) for task in table.of_isaaclab2} == {"isaaclab-2"}


def test_the_page_about_simulators_counts_right() -> None:
    table = known_tasks()
    page = " ".join((REPOSITORY_ROOT / "docs" / "isaaclab.md").read_text(encoding="utf-8").split())
    found = sum(table.name_in("isaaclab-3", task) is not None for task in table.of_isaaclab2)
    newton = list(table.of_isaaclab3.values())
    assert f"Of the {len(table.of_isaaclab2)} names of 2.3.2, {found} are found in 3.0" in page
    assert f"{newton.count(False)} of the {len(newton)} tasks of 3.0 are known to have none" in page
    assert f"{newton.count(None)} have configurations that import what" in page
