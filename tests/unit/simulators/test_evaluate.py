"""An evaluation counts exactly one episode per environment and round, whatever their lengths."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from gaitway.contracts.simulation import EVALUATION_METRICS, EVALUATION_SUMMARY, EvaluationSummary
from gaitway.simulators.common.evaluate import Episode, evaluate, write_metrics, write_summary
from tests.unit.simulators.scripted import FELL, ScriptedEnvironment

NEVER = 100


def idle(observations: Tensor) -> Tensor:
    return torch.zeros(len(observations), 1)


def test_a_short_episode_counts_once_however_often_it_could_be_repeated() -> None:
    # By the time that environment 2 is done, environment 0 has had six episodes.
    episodes = evaluate(ScriptedEnvironment([1, 3, NEVER]), idle, num_episodes=3, steps_per_episode=1000)
    assert episodes == [
        Episode(episode=0, environment=0, return_=1, length=1, success=False, termination=FELL),
        Episode(episode=1, environment=1, return_=3, length=3, success=False, termination=FELL),
        Episode(episode=2, environment=2, return_=6, length=6, success=True, termination="time_out"),
    ]


def test_further_rounds_begin_with_a_reset_of_all_environments() -> None:
    environment = ScriptedEnvironment([1, 3, NEVER])
    resets_before = environment.resets
    episodes = evaluate(environment, idle, num_episodes=6, steps_per_episode=1000)
    assert [(episode.episode, episode.environment, episode.length) for episode in episodes] == [
        (0, 0, 1), (1, 1, 3), (2, 2, 6), (3, 0, 1), (4, 1, 3), (5, 2, 6),
    ]  # fmt: skip
    assert environment.resets - resets_before == 2


def test_the_last_round_counts_the_first_environments_and_not_the_first_to_end() -> None:
    episodes = evaluate(ScriptedEnvironment([NEVER, 3, 1]), idle, num_episodes=5, steps_per_episode=1000)
    assert [episode.length for episode in episodes] == [6, 3, 1, 6, 3]


def test_fewer_episodes_than_environments() -> None:
    episodes = evaluate(ScriptedEnvironment([NEVER, 2, 1, 1]), idle, num_episodes=1, steps_per_episode=1000)
    assert [(episode.environment, episode.length) for episode in episodes] == [(0, 6)]


def test_an_episode_that_is_cut_off_while_all_goes_well_is_a_success() -> None:
    episodes = evaluate(ScriptedEnvironment([2, NEVER]), idle, num_episodes=2, steps_per_episode=4)
    assert [(episode.length, episode.success, episode.termination) for episode in episodes] == [
        (2, False, FELL),
        (4, True, "truncated"),
    ]


def test_a_termination_counts_before_a_time_out_in_the_same_step() -> None:
    (episode,) = evaluate(ScriptedEnvironment([6]), idle, num_episodes=1, steps_per_episode=6)
    assert (episode.termination, episode.success) == (FELL, False)


def test_an_episode_that_went_off_its_track_is_no_success_though_it_lasted() -> None:
    (episode,) = evaluate(ScriptedEnvironment([NEVER], off_track_at=5), idle, num_episodes=1, steps_per_episode=1000)
    assert (episode.termination, episode.success) == ("time_out", False)


def test_what_happens_after_an_episode_has_ended_does_not_spoil_it() -> None:
    environment = ScriptedEnvironment([2, NEVER], off_track_at=5)
    environment._off_track_at = 3
    cut_short, *_ = evaluate(environment, idle, num_episodes=2, steps_per_episode=2)
    assert cut_short.termination == FELL
    short, long = evaluate(environment, idle, num_episodes=2, steps_per_episode=4)
    assert (short.success, long.success) == (False, False)


def test_the_policy_sees_the_observations_of_the_step_before() -> None:
    seen: list[list[float]] = []

    def remember(observations: Tensor) -> Tensor:
        seen.append(observations[:, 0].tolist())
        return idle(observations)

    evaluate(ScriptedEnvironment([2, NEVER]), remember, num_episodes=2, steps_per_episode=3)
    assert seen == [[0, 0], [1, 1], [0, 2]]


def test_progress_is_told_whenever_it_changes() -> None:
    told: list[int] = []
    evaluate(ScriptedEnvironment([1, 3, 3]), idle, num_episodes=5, steps_per_episode=1000, on_progress=told.append)
    assert told == [1, 3, 4, 5]


def test_only_the_first_round_is_shown() -> None:
    lengths: list[int] = []
    environment = ScriptedEnvironment([2, 4])
    evaluate(environment, idle, 4, 1000, on_step=lambda _: lengths.append(int(environment._reached[1])))
    assert lengths == [1, 2, 3, 4]


def test_a_policy_that_breaks_the_numbers_is_an_error() -> None:
    class Broken(ScriptedEnvironment):
        def step(self, actions: Tensor):  # type: ignore[no-untyped-def]  # noqa: ANN202
            step = super().step(actions)
            step.rewards[:] = actions[:, 0]
            return step

    with pytest.raises(ValueError, match=r"not finite.*nan"):
        evaluate(Broken([NEVER]), lambda observations: observations * torch.nan, 1, 1000)


def test_results_are_written_where_the_contract_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    episodes = evaluate(ScriptedEnvironment([1, 3, NEVER, NEVER]), idle, num_episodes=4, steps_per_episode=1000)
    write_metrics(episodes)
    write_summary(episodes, "It did not fall.")
    assert EvaluationSummary.model_validate_json(EVALUATION_SUMMARY.read_text()) == EvaluationSummary(
        episodes=4,
        mean_return=4,
        std_return=4.5**0.5,
        min_return=1,
        max_return=6,
        mean_length=4,
        success_rate=0.5,
        success_definition="It did not fall.",
    )
    table = pd.read_csv(EVALUATION_METRICS)
    assert table.columns.tolist() == ["episode", "environment", "return", "length", "success", "termination"]
    assert table["success"].tolist() == [False, False, True, True]
    assert table["termination"].tolist() == [FELL, FELL, "time_out", "time_out"]
