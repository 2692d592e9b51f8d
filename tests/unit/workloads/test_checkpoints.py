"""Checkpoints are found by iteration number, and only if they are whole."""

import logging
import os
from pathlib import Path

import pytest

from gaitway.workloads.checkpoints import checkpoints, newest
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, write_checkpoint


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place(name: str, library: str, folder: str) -> Path:
    """Put a whole checkpoint where a library puts it."""
    write_checkpoint(0)
    path = Path("logs", library, "cartpole", "run", folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    (LOG_DIRECTORY / "model_0.pt").rename(path)
    return path


def test_the_newest_is_that_of_the_highest_iteration(run_directory: Path) -> None:
    for iteration in (100, 9, 50):
        write_checkpoint(iteration)

    latest = newest(run_directory, "rsl_rl")

    assert latest is not None
    assert (latest.name, latest.iterations) == ("model_100.pt", 101)


def test_one_that_is_torn_is_passed_over_and_named(run_directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    for iteration in (2, 4, 6):
        write_checkpoint(iteration)
    torn = LOG_DIRECTORY / "model_6.pt"
    torn.write_bytes(torn.read_bytes()[:-5])
    corrupt = LOG_DIRECTORY / "model_4.pt"
    content = bytearray(corrupt.read_bytes())
    content[content.index(b"weights")] ^= 0xFF
    corrupt.write_bytes(content)

    with caplog.at_level(logging.WARNING):
        latest = newest(run_directory, "rsl_rl")

    assert latest is not None
    assert latest.name == "model_2.pt"
    assert [name for name in ("model_6.pt", "model_4.pt") if name in caplog.text] == ["model_6.pt", "model_4.pt"]


def test_one_that_was_mended_counts_again(run_directory: Path) -> None:
    write_checkpoint(6)
    path = LOG_DIRECTORY / "model_6.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert newest(run_directory, "rsl_rl") is None

    path.write_bytes(whole)

    assert newest(run_directory, "rsl_rl") is not None


def test_what_skrl_numbers_by_time_steps_counts_as_iterations(run_directory: Path) -> None:
    path = place("agent_320.pt", "skrl", "checkpoints")
    assert newest(run_directory, "skrl") is None

    settings = path.parents[1] / "params" / "agent.yaml"
    settings.parent.mkdir()
    settings.write_text("agent:\n  rollouts: 32\n")

    latest = newest(run_directory, "skrl")
    assert latest is not None
    assert latest.iterations == 10


def test_the_best_so_far_has_no_number_and_is_not_gone_on_from(run_directory: Path) -> None:
    place("cartpole.pth", "rl_games", "nn")

    assert [(each.name, each.iterations) for each in checkpoints(run_directory, "rl_games")] == [("cartpole.pth", None)]
    assert newest(run_directory, "rl_games") is None


def test_of_two_with_one_name_the_later_counts(run_directory: Path) -> None:
    write_checkpoint(1)
    earlier = LOG_DIRECTORY / "model_1.pt"
    later = Path("logs/rsl_rl/cartpole/2026-11-20_11-00-00/model_1.pt")
    later.parent.mkdir(parents=True)
    later.write_bytes(earlier.read_bytes())
    os.utime(earlier, (1e9, 1e9))

    assert [each.path for each in checkpoints(run_directory, "rsl_rl")] == [run_directory / later]


def test_one_before_an_iteration_can_be_asked_for(run_directory: Path) -> None:
    for iteration in (2, 4, 6):
        write_checkpoint(iteration)

    latest = newest(run_directory, "rsl_rl", below=7)

    assert latest is not None
    assert latest.name == "model_4.pt"
