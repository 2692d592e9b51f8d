"""A heartbeat means progress."""

import pytest

from container.runner.heartbeat import (
    IDLE_ALLOWANCE_SECONDS,
    START_UP_ALLOWANCE_SECONDS,
    Activity,
    deserves_heartbeat,
)
from gaitway.contracts.run import HEARTBEAT_TIMEOUT_SECONDS


@pytest.mark.parametrize(
    ("idle_seconds", "simulation_began", "expected"),
    [
        (0, False, True),
        (IDLE_ALLOWANCE_SECONDS + 1, False, True),
        (START_UP_ALLOWANCE_SECONDS + 1, False, False),
        (IDLE_ALLOWANCE_SECONDS, True, True),
        (IDLE_ALLOWANCE_SECONDS + 1, True, False),
    ],
)
def test_starting_up_may_take_longer_than_an_iteration(
    idle_seconds: float, simulation_began: bool, expected: bool
) -> None:
    assert deserves_heartbeat(idle_seconds, simulation_began=simulation_began) is expected


def test_a_stalled_training_is_given_up_within_an_hour() -> None:
    assert IDLE_ALLOWANCE_SECONDS + HEARTBEAT_TIMEOUT_SECONDS < 3600


def test_progress_earns_heartbeats_again() -> None:
    now = 0.0
    activity = Activity(clock=lambda: now)
    activity.note_simulated()
    now = IDLE_ALLOWANCE_SECONDS + 1
    assert not activity.goes_on

    activity.note()

    assert activity.goes_on
