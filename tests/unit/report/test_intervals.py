"""Confidence intervals are those of the tables."""

from __future__ import annotations

import pytest

from gaitway.report.intervals import mean_interval, success_interval


# Of statsmodels 0.14, proportion_confint(method="wilson").
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 1, 0.0, 0.7935),
        (1, 1, 0.2065, 1.0),
        (5, 10, 0.2366, 0.7634),
        (100, 100, 0.9630, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_a_success_rate(successes: int, trials: int, low: float, high: float) -> None:
    assert success_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


# Half a standard error's width, from a table of Student's t.
@pytest.mark.parametrize(("count", "t"), [(2, 12.706), (3, 4.303), (4, 3.182), (6, 2.571), (31, 2.042), (101, 1.984)])
def test_a_mean(count: int, t: float) -> None:
    values = [float(index % 2) for index in range(count)]
    mean = sum(values) / count
    error = (sum((value - mean) ** 2 for value in values) / (count - 1) / count) ** 0.5

    interval = mean_interval(values)

    assert interval is not None
    assert sum(interval) / 2 == pytest.approx(mean)
    assert (interval[1] - interval[0]) / 2 == pytest.approx(t * error, rel=2e-3)


def test_one_episode_has_none() -> None:
    assert mean_interval([3.0]) is None
