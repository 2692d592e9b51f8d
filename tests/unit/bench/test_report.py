"""What the page says."""

from dataclasses import replace
from datetime import UTC, datetime

from bench.measurement import FailedMeasurement, Goal, Measurement
from bench.report import Conditions, missed_goals, write_page

CONDITIONS = Conditions(
    began_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    minutes=18.2,
    command="make bench",
    commit="abc1234",
    seed=42,
    machine={"processor": "a processor, 2 logical cores"},
    versions={"Python": "3.11.7", "torch": "2.13.0"},
    load_before=0.1,
    is_quiet=True,
)
MEASUREMENT = Measurement(
    title="Speed",
    method="In turn.",
    columns=("library", "ratio"),
    rows=(("rsl_rl", "0.970"),),
    goals=(Goal("rsl_rl ≥ 0.99: 0.970", met=False, likely_reason="the runner polls"), Goal("skrl", met=True)),
)


def test_the_page_says_under_which_conditions_it_was_measured() -> None:
    page = write_page(CONDITIONS, [MEASUREMENT])

    for words in ("2026-11-20 12:00 UTC", "make bench", "abc1234", "| seed | 42 |", "a processor", "torch 2.13.0"):
        assert words in page
    assert "Provisional" not in page


def test_a_missed_goal_is_said_plainly_with_its_reason() -> None:
    page = write_page(CONDITIONS, [MEASUREMENT])

    assert "1 of 2 goals were reached." in page
    assert "- **Missed:** rsl_rl ≥ 0.99: 0.970. Likely reason: the runner polls." in page
    assert [goal.words for goal in missed_goals([MEASUREMENT])] == ["rsl_rl ≥ 0.99: 0.970"]


def test_a_measurement_that_failed_is_no_silence() -> None:
    page = write_page(CONDITIONS, [MEASUREMENT, FailedMeasurement("Recovery", "BenchError: it ended too early")])

    assert "1 of 2 measurements failed" in page
    assert "BenchError: it ended too early" in page


def test_figures_of_a_busy_machine_are_called_provisional() -> None:
    assert "**Provisional:**" in write_page(replace(CONDITIONS, is_quiet=False), [MEASUREMENT])


def test_every_row_of_a_table_has_its_columns() -> None:
    lines = write_page(CONDITIONS, [MEASUREMENT]).splitlines()

    start = lines.index("| library | ratio |")
    assert lines[start : start + 3] == ["| library | ratio |", "| --- | --- |", "| rsl_rl | 0.970 |"]
