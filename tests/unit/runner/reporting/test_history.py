"""What attempts did and cost is written down as they go, and added up by the next one."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.artifacts import HISTORY
from gaitway.contracts.errors import InterruptedRunError, RequestError
from gaitway.contracts.history import AttemptHistory, Cost, Machine, RunHistory
from gaitway.outputs.history import read_history, total_cost
from gaitway.runner.reporting.budget import Budget, BudgetWatch, SpentError
from gaitway.runner.reporting.cost import cost_of
from gaitway.runner.reporting.history import History

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MACHINE = Machine(instance_type="g6.2xlarge", usd_per_hour=3.6)


class Clock:
    """Tells a time that only the test changes."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def history(directory: Path, clock: Clock, number: int = 1, recorded: Cost | None = None, **fields: Any) -> History:
    begun = AttemptHistory(number=number, machine=MACHINE, began_at=clock.now, last_seen_at=clock.now)
    attempt = begun.model_copy(update=fields)
    return History(directory, NOON - timedelta(seconds=30), attempt, recorded, clock)


def written(directory: Path) -> RunHistory:
    found = read_history(directory)
    assert found is not None
    return found


def test_a_cost_is_the_price_of_all_nodes_times_their_time() -> None:
    machine = MACHINE.model_copy(update={"nodes": 2})
    assert cost_of(machine, NOON, NOON + timedelta(minutes=30)) == Cost(usd=3.6, machine_seconds=3600)
    # Clocks differ.
    assert cost_of(machine, NOON, NOON - timedelta(seconds=1)) == Cost(usd=0, machine_seconds=0)
    assert cost_of(None, NOON, NOON) is cost_of(Machine(instance_type="other"), NOON, NOON) is None


def test_an_attempt_is_charged_from_the_pull_of_its_image(tmp_path: Path, clock: Clock) -> None:
    with history(tmp_path, clock, image_pull_began_at=NOON - timedelta(seconds=100)) as run:
        clock.go_on(900)
        assert run.cost == Cost(usd=1.0, machine_seconds=1000)


def test_a_killed_attempt_and_the_one_after_it_are_added_up(tmp_path: Path, clock: Clock) -> None:
    killed = history(tmp_path, clock)
    with killed:
        clock.go_on(100)
        killed.note(simulator_began_at=clock.now)
        assert killed.note_progress()
        assert not killed.note_progress()
    # What a kill leaves: no outcome.
    left = written(tmp_path)
    text = left.model_copy(update={"attempts": [left.attempts[0].model_copy(update={"outcome": None})]})
    (tmp_path / HISTORY).write_text(text.model_dump_json(by_alias=True), encoding="utf-8")
    clock.go_on(3600)

    with history(tmp_path, clock, number=2, recorded=Cost(usd=0.05, machine_seconds=50)) as second:
        clock.go_on(200)
        assert not second.note_progress()
        cost = second.cost

    # The record of the killed attempt was older than its file.
    assert cost is not None
    assert (cost.usd, cost.machine_seconds) == pytest.approx((0.3, 300))
    first, last = written(tmp_path).attempts
    assert (first.outcome, last.outcome) == (None, "succeeded")
    assert first.queued_at == written(tmp_path).accepted_at == NOON - timedelta(seconds=30)
    # Nobody knows exactly when an attempt died.
    assert last.queued_at == first.last_seen_at == NOON + timedelta(seconds=100)
    assert last.cost is not None
    assert last.cost.machine_seconds == 200


def test_what_the_record_knows_counts_where_the_file_is_lost(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / HISTORY).write_text("{torn", encoding="utf-8")
    with history(tmp_path, clock, number=2, recorded=Cost(usd=5, machine_seconds=5000)) as run:
        clock.go_on(1000)
        assert run.cost == Cost(usd=6.0, machine_seconds=6000)
    assert total_cost(written(tmp_path), Cost(usd=6.0, machine_seconds=6000)) == Cost(usd=6.0, machine_seconds=6000)


def test_an_attempt_that_fails_says_with_what_and_nothing_after_its_end_counts(tmp_path: Path, clock: Clock) -> None:
    run = history(tmp_path, clock)
    with contextlib.suppress(InterruptedRunError), run:
        clock.go_on(1000)
        raise InterruptedRunError("the machine is taken away")
    clock.go_on(100)
    run.note(outcome="other")
    (attempt,) = written(tmp_path).attempts
    assert (attempt.outcome, attempt.cost) == ("InterruptedRunError", Cost(usd=1.0, machine_seconds=1000))
    assert run.so_far().attempts == [attempt]


def test_a_machine_of_unknown_price_costs_what_is_not_known(tmp_path: Path, clock: Clock) -> None:
    with history(tmp_path, clock, machine=None) as run:
        assert run.cost is None
    assert total_cost(written(tmp_path), None) is None


def test_a_directory_that_cannot_be_written_to_fails_no_run(tmp_path: Path, clock: Clock) -> None:
    with history(tmp_path / "nowhere", clock) as run:
        clock.go_on(1000)
        assert run.cost == Cost(usd=1.0, machine_seconds=1000)


def test_a_limit_without_a_price_is_refused() -> None:
    Budget(None, lambda: None).require_price()
    with pytest.raises(RequestError, match=r"computeConfig\.maxCostUsd is 2\.5.*instancePrices"):
        Budget(2.5, lambda: None).require_price()


def test_a_run_without_a_limit_or_below_it_goes_on() -> None:
    spent = Cost(usd=9.99, machine_seconds=1)
    assert not Budget(None, lambda: spent).is_spent
    assert not Budget(10, lambda: spent).is_spent
    assert Budget(9.99, lambda: spent).is_spent


def test_a_training_is_asked_to_stop_and_then_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = [Cost(usd=usd, machine_seconds=1) for usd in (0.5, 1.5, 1.6)]
    watch = BudgetWatch(Budget(1, lambda: costs[0]), tmp_path / "stop")
    watch.check()
    assert not watch.has_asked
    del costs[0]
    watch.check()
    assert watch.has_asked
    assert (tmp_path / "stop").exists()
    monkeypatch.setattr("gaitway.runner.reporting.budget.SAVE_SECONDS", -1.0)
    with pytest.raises(SpentError):
        watch.check()


def test_who_cannot_be_asked_is_ended_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpentError):
        BudgetWatch(Budget(1, lambda: Cost(usd=1, machine_seconds=1)), None).check()
