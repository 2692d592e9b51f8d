"""A heartbeat means progress."""

import threading

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import ValidationError

from gaitway.contracts.limits import IDLE_ALLOWANCE_SECONDS, JOB_HEARTBEAT_TIMEOUT_SECONDS, START_UP_ALLOWANCE_SECONDS
from gaitway.contracts.run import Progress, RunTokens
from gaitway.runner.reporting.heartbeat import (
    Activity,
    Caller,
    Heartbeat,
    deserves_heartbeat,
)
from gaitway.runner.stop import StopRequest


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
    assert IDLE_ALLOWANCE_SECONDS + JOB_HEARTBEAT_TIMEOUT_SECONDS < 3600


def test_progress_earns_heartbeats_again() -> None:
    now = 0.0
    activity = Activity(clock=lambda: now)
    activity.note_simulated()
    now = IDLE_ALLOWANCE_SECONDS + 1
    assert not activity.goes_on

    activity.note()

    assert activity.goes_on


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_caller_is_gone_once_its_own_retries_are_over() -> None:
    clock = Clock()
    caller = Caller(600, clock)
    caller.note("first", waits=False)
    clock.seconds = 600
    assert not caller.is_gone
    clock.seconds = 601
    assert caller.is_gone


def test_a_caller_that_tries_again_with_a_new_token_has_not_gone() -> None:
    clock = Clock()
    caller = Caller(600, clock)
    caller.note("first", waits=False)
    clock.seconds = 300
    caller.note("second", waits=True)
    clock.seconds = 601
    assert not caller.is_gone
    caller.note("second", waits=False)
    clock.seconds = 1201
    assert not caller.is_gone


def test_each_caller_has_a_grace_of_its_own() -> None:
    clock = Clock()
    caller = Caller(600, clock)
    caller.note("first", waits=False)
    clock.seconds = 500
    caller.note("second", waits=False)
    clock.seconds = 1000
    assert not caller.is_gone
    clock.seconds = 1101
    caller.note("second", waits=False)
    assert caller.is_gone


def unreadable() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Progress.model_validate({"done": "many"})
    return raised.value


class Waiting:
    """Somebody waits for the run; some of the questions for whom, and some of the beats, fail."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.beaten = threading.Semaphore(0)

    def tokens(self) -> RunTokens:
        """Tell the tokens, as `Ownership` does."""
        self._fail()
        return RunTokens(inner="token")

    def heartbeat(self, token: str) -> bool:
        """Take a beat, as `TaskTokens` does."""
        assert token == "token"
        self._fail()
        self.beaten.release()
        return True

    def _fail(self) -> None:
        if self._errors:
            raise self._errors.pop(0)


@pytest.mark.parametrize(
    "error",
    [
        unreadable(),
        KeyError("execution_arn"),
        TypeError("None"),
        EndpointConnectionError(endpoint_url="https://states"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "SendTaskHeartbeat"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_beat_may_raise_anything_and_later_ones_follow(error: Exception) -> None:
    waiting = Waiting(error, error)
    stop = StopRequest()
    with Heartbeat(waiting, waiting, Activity(), stop, interval_seconds=0.001):  # type: ignore[arg-type]
        assert waiting.beaten.acquire(timeout=10)
        assert waiting.beaten.acquire(timeout=10)
    assert not stop.is_requested
