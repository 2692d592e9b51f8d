"""Progress is read from what a simulator prints."""

import contextlib
import io
from itertools import count

import pytest

from gaitway.contracts.run import Progress
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig, WorkloadConfig
from gaitway.runner.verdict.observe import Observer
from tests.unit.runner.scripted_simulator import print_iteration


def observe(*lines: str, training: WorkloadConfig | None = None) -> list[Progress]:
    """Feed lines that come one second apart."""
    seen: list[Progress] = []
    seconds = count()
    observer = Observer(training or TrainingConfig(), seen.append, clock=lambda: float(next(seconds)))
    for line in lines:
        observer.read_line(line)
    return seen


def printed_by_rsl_rl_5(iteration: int, total: int) -> list[str]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        print_iteration(iteration, total)
    return output.getvalue().splitlines(keepends=True)


def test_an_iteration_of_rsl_rl_counts_once_it_is_done() -> None:
    progress = observe(*printed_by_rsl_rl_5(0, 300))[-1]

    assert progress == Progress(done=1, total=300, steps_per_second=1000, mean_reward=0.0)


def test_the_lines_of_rsl_rl_3_are_understood_too() -> None:
    progress = observe(
        "                      \x1b[1m Learning iteration 99/1500 \x1b[0m                       \n",
        "                       Computation: 81234 steps/s (collection: 0.612s, learning 0.194s)\n",
        "                       Mean reward: -12.34\n",
    )[-1]

    assert (progress.done, progress.total) == (100, 1500)
    assert (progress.steps_per_second, progress.mean_reward) == (81234, -12.34)


def test_the_remaining_time_follows_from_the_pace_so_far() -> None:
    seen = observe(" Learning iteration 0/10 ", " Learning iteration 1/10 ", " Learning iteration 2/10 ")

    assert [progress.eta_seconds for progress in seen] == [None, 8.0, 7.0]


def test_a_resumed_training_does_not_take_its_past_for_pace() -> None:
    seen = observe(" Learning iteration 500/1000 ", " Learning iteration 501/1000 ")

    assert seen[-1].eta_seconds == 498.0


def test_the_line_of_our_own_simulators_tells_everything_at_once() -> None:
    seen = observe(
        "Trained iterations: 12/80 (63000 steps/s, mean reward 12.30)\n",
        *printed_by_rsl_rl_5(12, 80),
        "Trained iterations: 13/80 (60000 steps/s)\n",
    )

    assert [(progress.done, progress.steps_per_second, progress.mean_reward) for progress in seen] == [
        (12, 63000, 12.3),
        (13, 60000, None),
    ]


def test_the_mean_reward_of_a_checkpoint_is_the_latest_before_it() -> None:
    observer = Observer(TrainingConfig(), lambda progress: None)
    for done, reward in ((10, 1.5), (20, 4.5)):
        observer.read_line(f"Trained iterations: {done}/80 (63000 steps/s, mean reward {reward})")

    assert [observer.mean_reward_at(iterations) for iterations in (9, 10, 19, 20)] == [None, 1.5, 1.5, 4.5]


def test_other_lines_are_no_progress() -> None:
    noise = ["Mean reward: 5.00", "Mean extrinsic reward: 5.00", "Evaluated episodes: 1/2", "", "Learning rate: 1/2"]

    assert observe(*noise) == []


@pytest.mark.parametrize("reward", ["nan", "inf", "1e-05"])
def test_rewards_of_any_form_are_read(reward: str) -> None:
    seen = observe(" Learning iteration 0/10 ", f"   Mean reward: {reward}")

    assert str(seen[-1].mean_reward) == reward


def test_an_evaluation_counts_episodes() -> None:
    evaluation = EvaluationConfig()

    seen = observe("Evaluated episodes: 10/50\n", " Learning iteration 0/10 ", training=evaluation)

    assert [(progress.done, progress.total) for progress in seen] == [(10, 50)]


def test_a_repeated_line_is_no_news() -> None:
    evaluation = EvaluationConfig()

    assert len(observe("Evaluated episodes: 10/50", "Evaluated episodes: 10/50", training=evaluation)) == 1
