"""Charts show what there is, whatever that is."""

from __future__ import annotations

import math
import re

import pytest

from gaitway.report.charts import PLANE, Line, histogram, line_chart


def test_an_axis_has_round_values_from_end_to_end() -> None:
    chart = line_chart("Reward", "iteration", [Line("Reward", [1, 250, 1000], [-30.0, 12.0, 289.5])])

    assert chart is not None
    assert [tick.text for tick in chart.x_ticks] == ["200", "400", "600", "800", "1000"]
    assert chart.x_ticks[-1].percent == 100
    assert [tick.text for tick in chart.y_ticks] == ["0", "100", "200", "300"]
    assert chart.note == "last 289.5"
    assert "3 values from \N{MINUS SIGN}30 to 289.5, the last one 289.5" in chart.description


@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [3.0, 3.0],
        [1e300, -1e300],
        [1e-300, 2e-300],
        [math.nan, 1.0, math.inf],
        [1e16, 1e16 + 2],
        [-5e-324, 5e-324],
    ],
)
def test_odd_values_are_drawn_within_the_plane(values: list[float]) -> None:
    chart = line_chart("Loss", "iteration", [Line("Loss", list(range(len(values))), values)])

    assert chart is not None
    coordinates = [int(number) for path in chart.paths for number in re.findall(r"-?\d+", path.d.removesuffix("h0"))]
    assert coordinates
    assert all(0 <= coordinate <= PLANE for coordinate in coordinates)
    assert 1 <= len(chart.y_ticks) <= 6


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_is_drawn_of_nothing(values: list[float]) -> None:
    assert line_chart("Loss", "iteration", [Line("Loss", [0.0] * len(values), values)]) is None


def test_a_mark_beyond_the_axis_is_left_out() -> None:
    chart = line_chart(
        "Reward", "iteration", [Line("Reward", [1, 101], [0, 1])], marks=[(51, "resumed"), (200, "later")]
    )

    assert chart is not None
    assert [(mark.percent, mark.text) for mark in chart.marks] == [(50, "resumed")]


def test_bars_count_every_episode_once_and_tell_success_from_failure() -> None:
    returns = [float(index) for index in range(100)]

    chart = histogram("Return", "return", returns, [value >= 30 for value in returns])

    assert chart is not None
    counted = {"success": 0, "miss": 0}
    for bar in chart.bars:
        counted[bar.style] += int(re.findall(r": (\d+) ", bar.title)[0])
        assert 0 <= bar.y <= bar.y + bar.height <= PLANE
    assert counted == {"success": 70, "miss": 30}
    assert chart.marks[0].text == "mean 49.5"


def test_lengths_are_counted_in_bars_of_whole_steps() -> None:
    chart = histogram("Length", "environment steps", [10.0, 11.0, 12.0, 12.0], [True] * 4)

    assert chart is not None
    assert len(chart.bars) == 3


def test_what_is_the_same_in_all_episodes_has_no_distribution() -> None:
    assert histogram("Length", "environment steps", [299.0] * 100, [True] * 100) is None
