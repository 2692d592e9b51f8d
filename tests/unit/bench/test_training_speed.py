"""The speed of a training, out of what it logged."""

import pandas as pd
import pytest

from bench.pipeline import CpuUse
from bench.processes import BenchError, steps_per_second
from bench.size import training_config
from bench.statistics import Spread
from bench.training_speed import likely_reason

TRAINING = training_config("rsl_rl", num_envs=10, iterations=6, checkpoint_interval=2)


def logged_at(moments: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"wall_time": moments}, index=pd.RangeIndex(len(moments), name="step"))


def test_the_speed_counts_everything_between_iterations_but_no_warm_up() -> None:
    # Two slow iterations of warm-up, then 2 s each, a checkpoint of 4 s among them.
    metrics = logged_at([100, 190, 192, 194, 200, 202])

    speed = steps_per_second(metrics, TRAINING, steps_per_iteration=16, warm_up_iterations=2)

    assert speed == pytest.approx(4 * 16 * 10 / 12)


def test_a_training_that_logged_less_than_it_should_has_no_speed() -> None:
    with pytest.raises(BenchError, match="5 iterations"):
        steps_per_second(logged_at([1, 2, 3, 4, 5]), TRAINING, steps_per_iteration=16, warm_up_iterations=2)


@pytest.mark.parametrize(
    ("over_simulator", "over_library", "words"),
    [
        ([1.0, 1.0], [0.9, 0.9], "what it does itself"),
        ([0.9, 0.9], [0.9, 0.9], "the runner took 12.0% of a core"),
        ([1.0, 1.0], [0.9, 1.2], "the pairs differ by more"),
    ],
)
def test_a_missed_goal_has_its_reason(over_simulator: list[float], over_library: list[float], words: str) -> None:
    reason = likely_reason(Spread.of(over_simulator), Spread.of(over_library), CpuUse(runner=0.12, emulator=0.3))

    assert words in reason
