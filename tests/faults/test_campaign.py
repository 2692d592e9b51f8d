"""The campaign's short form: a fault of each kind. `make faults` runs all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from gaitway.contracts.workload import Mode
from tests.faults import scenarios  # noqa: F401 - they register themselves
from tests.faults.campaign import SCENARIOS, Outcome, Task, go_through
from tests.faults.world import World, open_world

SEED = 20261121
SHORT: tuple[tuple[str, Mode], ...] = (
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
    ("container_of_sagemaker_is_killed", "train"),
)
FURTHER: dict[str, tuple[tuple[str, Mode], ...]] = {
    "sagemaker": (
        ("spot_instance_of_sagemaker_is_reclaimed", "train"),
        ("training_job_cannot_be_submitted_for_a_while", "evaluate"),
    ),
    "hyperpod-eks": (
        ("eks_agent_is_killed", "evaluate"),
        ("pod_is_deleted", "train"),
        ("api_is_away_for_a_while", "evaluate"),
    ),
    "hyperpod-slurm": (
        ("slurm_agent_is_killed", "train"),
        ("slurm_order_comes_twice", "evaluate"),
        ("slurm_node_is_lost", "train"),
    ),
}
"""By back end: what takes longer, or needs a cluster beside the embedded AWS."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # None of these waits for a heartbeat's timeout, and a busy machine must not miss one.
    with open_world(tmp_path_factory.mktemp("faults"), speedup=3) as opened:
        yield opened


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_the_caller_is_told(world: World) -> None:
    _go_through(world, SHORT)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", FURTHER)
def test_nothing_is_lost_on_a_further_back_end(world: World, backend: str) -> None:
    chosen = FURTHER[backend]
    if missing := SCENARIOS[chosen[0][0]].why_missing():
        pytest.skip(missing)
    _go_through(world, chosen)


def _go_through(world: World, chosen: Sequence[tuple[str, Mode]]) -> None:
    faults = [Task(SCENARIOS[name], mode, SEED) for name, mode in chosen]

    outcomes = go_through(world, faults, parallel=4)

    wrong = "\n".join(line for outcome in outcomes for line in _report(outcome))
    assert not wrong, wrong


def _report(outcome: Outcome) -> list[str]:
    command = f"python -m tests.faults --seed {outcome.seed} --only {outcome.scenario.name} ({outcome.mode})"
    return [f"{command}: {violation}" for violation in outcome.violations]
