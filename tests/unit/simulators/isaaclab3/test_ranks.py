"""Of several processes that train together, one writes and films. Isaac Lab 3 itself needs a GPU for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.local.isaaclab3 import packages
from gaitway.simulators.common.ranks import Ranks, only_one_writes
from gaitway.simulators.isaaclab3.arguments import train_arguments
from gaitway.simulators.isaaclab3.settings import TaskSettings

LIBRARIES: tuple[RlLibrary, ...] = ("rsl_rl", "skrl", "rl_games")
TASK = "Isaac-Cartpole-Direct"


def arguments(library: RlLibrary, ranks: Ranks) -> list[str]:
    training = TrainingConfig(task=TASK, rl_library=library, record_video=True, seed=7)
    return train_arguments(TASK, training, TaskSettings(None, {}, (), frozenset()), ranks, 0, None)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_leading_process_films_and_each_has_the_device_of_its_rank(
    library: RlLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(packages())
    first, second = (arguments(library, Ranks(rank, rank, 2)) for rank in range(2))
    assert "--video" in first
    assert "--video" not in second
    for each in (first, second):
        assert "--distributed" in each
        assert not any("device" in argument for argument in each)
        # Isaac Lab's backends add the rank.
        assert each[each.index("--seed") + 1] == "7"


def test_what_other_processes_write_is_not_in_the_runs_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with only_one_writes(Ranks(1, 1, 2)):
        Path("agent.yaml").touch()
    assert not list(tmp_path.iterdir())
    assert Path.cwd() == tmp_path
    with only_one_writes(Ranks(0, 0, 2)):
        Path("agent.yaml").touch()
    assert (tmp_path / "agent.yaml").exists()
