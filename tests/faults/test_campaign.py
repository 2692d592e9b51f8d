"""The campaign's short form: a fault of each kind. `make faults` runs all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import scenarios  # noqa: F401 - they register themselves
from tests.faults.campaign import SCENARIOS, Outcome, Task, go_through
from tests.faults.world import World, open_world

SEED = 20261121
SHORT = (
    ("runner_killed_in_every_attempt", "evaluate"),
    ("runner_killed_after_its_success_arrived", "evaluate"),
    ("machine_taken_away_as_the_runner_begins", "evaluate"),
    ("newest_checkpoint_is_not_whole", "train"),
    ("network_down_for_a_while", "evaluate"),
    ("submit_job_submitjob_dies_after", "evaluate"),
    ("handle_failure_sendtaskfailure_dies_before", "train"),
    ("run_cannot_be_published", "evaluate"),
    ("launch_is_called_thrice_at_once", "evaluate"),
    ("caller_is_stopped_in_the_middle", "train"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # None of these waits for a heartbeat's timeout, and a busy machine must not miss one.
    with open_world(tmp_path_factory.mktemp("faults"), speedup=3) as opened:
        yield opened


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_the_caller_is_told(world: World) -> None:
    faults = [Task(SCENARIOS[name], mode, SEED) for name, mode in SHORT]

    outcomes = go_through(world, faults, parallel=4)

    wrong = "\n".join(line for outcome in outcomes for line in _report(outcome))
    assert not wrong, wrong


def _report(outcome: Outcome) -> list[str]:
    command = f"python -m tests.faults --seed {outcome.seed} --only {outcome.scenario.name} ({outcome.mode})"
    return [f"{command}: {violation}" for violation in outcome.violations]
