"""A run's key figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gaitway.formatting import dollars, number, percent, short_duration
from gaitway.report.reported_run import ReportedRun


@dataclass(frozen=True)
class Figure:
    """A number that is worth a look."""

    label: str
    value: str
    note: str = ""
    """What it is to be read with."""


def figures(run: ReportedRun) -> list[Figure]:
    """Choose what a reader wants to know first."""
    return [*_of_training(run), *_of_evaluation(run), *_of_every_run(run)]


def interval(bounds: tuple[float, float] | None) -> str:
    """Write a confidence interval of a mean."""
    return f"95 % interval {number(bounds[0])} to {number(bounds[1])}" if bounds else ""


def _of_training(run: ReportedRun) -> Iterator[Figure]:
    training, curves = run.results.training, run.curves
    rewards = [value for value in curves.reward if math.isfinite(value)] if curves else []
    lengths = [value for value in curves.length if math.isfinite(value)] if curves else []
    reward = training.mean_reward if training else None
    if reward is None and rewards:
        reward = rewards[-1]
    if reward is not None:
        yield Figure("Mean reward", number(reward), f"best {number(max(rewards))}" if rewards else "at the end")
    if lengths:
        yield Figure("Episode length", number(lengths[-1]), "environment steps")
    asked_for = run.workload.total(run.config.training_config) if run.config else None
    done = training.iterations if training else None
    if done is None and curves and curves.counts_iterations:
        done = int(curves.at[-1])
    if done is not None:
        yield Figure("Iterations", f"{done:,}", f"of {asked_for:,}" if asked_for else "")
    if training is not None:
        if training.training_seconds is not None:
            yield Figure("Training time", short_duration(training.training_seconds), "without start-up")
        if training.mean_steps_per_second is not None:
            yield Figure("Speed", number(training.mean_steps_per_second), "environment steps a second")


def _of_evaluation(run: ReportedRun) -> Iterator[Figure]:
    summary, episodes = run.results.evaluation, run.episodes
    if episodes is not None:
        low, high = episodes.success_interval
        yield Figure("Success rate", percent(episodes.success_rate), f"95 % interval {percent(low)} to {percent(high)}")
    elif summary is not None:
        yield Figure("Success rate", percent(summary.success_rate))
    if summary is not None:
        yield Figure(
            "Mean return", number(summary.mean_return), interval(episodes.return_interval if episodes else None)
        )
        yield Figure("Mean length", number(summary.mean_length), "environment steps")
        yield Figure("Episodes", f"{summary.episodes:,}")


def _of_every_run(run: ReportedRun) -> Iterator[Figure]:
    if run.seconds is not None:
        attempts = run.results.attempts
        note = "from request to end" if run.results.history else "from start to end"
        yield Figure("Wall time", short_duration(run.seconds), f"{note}, {attempts} attempts" if attempts > 1 else note)
    cost = run.results.cost
    if cost is not None:
        yield Figure("Cost", dollars(cost.usd), f"{short_duration(cost.machine_seconds)} of machine time")
