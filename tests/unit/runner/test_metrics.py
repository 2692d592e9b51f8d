"""TensorBoard's events become one table."""

from pathlib import Path

import pytest

from container.runner.metrics import read_metrics, summarise
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, log_metrics, write_events


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_per_iteration_and_a_column_per_scalar(run_directory: Path) -> None:
    write_events([(1, "Loss/value", 0.5), (0, "Loss/value", 1.0), (1, "Train/mean_reward", 3.0)])

    metrics = read_metrics(run_directory, "rsl_rl")

    assert metrics.to_csv().splitlines() == [
        "step,wall_time,Loss/value,Train/mean_reward",
        "0,1000000000.0,1.0,",
        "1,1000000001.0,0.5,3.0",
    ]


def test_scalars_logged_by_elapsed_seconds_are_left_out(run_directory: Path) -> None:
    write_events([(3, "Train/mean_reward/time", 1.0), (0, "Train/mean_reward", 1.0)])

    metrics = read_metrics(run_directory, "rsl_rl")

    assert list(metrics.columns) == ["wall_time", "Train/mean_reward"]
    assert list(metrics.index) == [0]


def test_an_iteration_trained_again_after_a_resume_counts_once_with_its_later_value(run_directory: Path) -> None:
    write_events([(step, "Train/mean_reward", 10.0 + step) for step in (2, 3)], Path("logs/b"), started=2e9)
    write_events([(step, "Train/mean_reward", step) for step in (0, 1, 2)], Path("logs/z"), started=1e9)

    metrics = read_metrics(run_directory, "rsl_rl")

    assert dict(metrics["Train/mean_reward"]) == {0: 0, 1: 1, 2: 12, 3: 13}


def test_a_file_that_ends_in_the_middle_of_a_record_is_read_up_to_there(run_directory: Path) -> None:
    write_events([(0, "Loss/value", 1.0), (1, "Loss/value", 2.0)])
    (events,) = LOG_DIRECTORY.glob("events*")
    events.write_bytes(events.read_bytes()[:-3])

    assert list(read_metrics(run_directory, "rsl_rl").index) == [0]


def test_no_events_make_an_empty_table(run_directory: Path) -> None:
    assert read_metrics(run_directory, "rsl_rl").empty


def test_the_figures_of_a_training_come_from_its_metrics(run_directory: Path) -> None:
    log_metrics(8)

    figures = summarise(read_metrics(run_directory, "rsl_rl"), "rsl_rl")

    assert figures.mean_reward == 3.5
    assert figures.mean_steps_per_second == 1000
    assert figures.training_seconds == pytest.approx(2.0)


def test_figures_that_were_not_logged_are_none(run_directory: Path) -> None:
    write_events([(0, "Loss/value", 1.0)])

    figures = summarise(read_metrics(run_directory, "rsl_rl"), "rsl_rl")

    assert figures.mean_reward is None
    assert figures.mean_steps_per_second is None
