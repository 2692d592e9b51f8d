"""Curves: from a table of metrics to what TensorBoard reads."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaitway.cli.tensorboard import name_of, write_events
from gaitway.contracts.run import RunRecord, RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_each_scalar_is_where_it_was_logged(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text('step,wall_time,"Reward / Total reward (mean)",Loss/value\n3,1e9,,0.5\n4,1000000001,inf,0.25\n')

    write_events(metrics, tmp_path / "events")

    written = EventAccumulator(str(tmp_path / "events")).Reload()
    assert {*written.Tags()["scalars"]} == {"Reward / Total reward (mean)", "Loss/value"}
    assert [(one.step, one.wall_time, one.value) for one in written.Scalars("Loss/value")] == [
        (3, 1e9, 0.5),
        (4, 1e9 + 1, 0.25),
    ]
    [reward] = written.Scalars("Reward / Total reward (mean)")
    assert (reward.step, reward.value) == (4, math.inf)


def test_a_table_without_rows_gives_no_curve(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,wall_time\n")
    write_events(tmp_path / "metrics.csv", tmp_path / "events")
    assert EventAccumulator(str(tmp_path / "events")).Reload().Tags()["scalars"] == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, "run-01234567"),
        ("ant", "ant-run-01234567"),
        ("../my ant/é", "..-my-ant-run-01234567"),
        ("///", "run-01234567"),
    ],
)
def test_a_run_is_called_as_its_user_calls_it(name: str | None, shown: str) -> None:
    record = RunRecord(
        run_id="run-0123456789abcdef0123", state=RunState.SUCCEEDED, created_at=NOW, updated_at=NOW, name=name
    )
    assert name_of(record) == shown
