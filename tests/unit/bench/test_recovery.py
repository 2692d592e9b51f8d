"""Where trainings are killed, and how the outcome is judged."""

import pandas as pd
import pytest

from bench.recovery import CHECKPOINT_INTERVAL, GOAL_SECONDS, ITERATIONS, Recovery, goals, is_continuous, kill_points


def test_kills_are_the_same_in_every_run_and_differ_between_libraries() -> None:
    assert kill_points("rsl_rl", 5) == kill_points("rsl_rl", 5)
    assert kill_points("rsl_rl", 5) != kill_points("skrl", 5)


def test_kills_are_spread_over_the_training_and_come_before_its_end() -> None:
    iterations = [point.iteration for point in kill_points("rsl_rl", 3)]

    assert iterations == sorted(set(iterations))
    assert all(1 <= point.iteration <= ITERATIONS - 3 for point in kill_points("rsl_rl", 500))


@pytest.mark.parametrize(
    ("steps", "continuous"),
    [
        ([0, 1, 2, 3], True),
        ([32, 64, 96, 128], True),
        ([0, 1, 2], False),
        ([0, 1, 1, 2], False),
        ([0, 1, 3, 4], False),
    ],
)
def test_a_series_has_every_iteration_exactly_once(steps: list[int], continuous: bool) -> None:
    assert is_continuous(pd.DataFrame(index=steps), iterations=4) is continuous


def test_the_worst_recovery_counts() -> None:
    good = Recovery(CHECKPOINT_INTERVAL, GOAL_SECONDS, total_seconds=20, is_continuous=True)
    bad = Recovery(CHECKPOINT_INTERVAL + 1, GOAL_SECONDS + 0.1, total_seconds=20, is_continuous=False)

    assert [goal.met for goal in goals([good, good])] == [True, True, True]
    assert [goal.met for goal in goals([good, bad])] == [False, False, False]
