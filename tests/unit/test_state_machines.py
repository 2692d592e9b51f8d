"""What both state machines promise in every state."""

import json
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.run import CLOSING_SECONDS, HEARTBEAT_TIMEOUT_SECONDS, TIMEOUT_SECONDS
from lambdas.handle_failure.handle import SALVAGE_SECONDS

Json = dict[str, Any]

DIRECTORY = Path(__file__).parents[2] / "statemachines"
MACHINES = {name: json.loads((DIRECTORY / f"{name}.asl.json").read_text()) for name in ("pipeline", "workflow")}
TASKS = [
    pytest.param(state, id=f"{machine}-{name}")
    for machine, definition in MACHINES.items()
    for name, state in definition["States"].items()
    if state["Type"] == "Task"
]
SERVICE_ERRORS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
}
DEATHS = {"Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"}
"""Of a function that ran out of memory or time, or that Lambda lost."""


@pytest.mark.parametrize("state", TASKS)
def test_every_task_ends_in_time(state: Json) -> None:
    assert "TimeoutSeconds" in state or "TimeoutSecondsPath" in state


@pytest.mark.parametrize("state", TASKS)
def test_only_errors_of_the_service_and_deaths_of_a_function_are_tried_again(state: Json) -> None:
    of_throttling, of_service, of_death = state["Retry"]
    assert of_throttling["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    assert set(of_service["ErrorEquals"]) == SERVICE_ERRORS
    assert set(of_death["ErrorEquals"]) == DEATHS
    for retrier in state["Retry"]:
        assert retrier["BackoffRate"] > 1
        assert retrier["JitterStrategy"] == "FULL"


@pytest.mark.parametrize("state", TASKS)
def test_a_function_that_always_dies_is_given_up_soon(state: Json) -> None:
    *_, of_death = state["Retry"]
    assert of_death["MaxAttempts"] <= 2


@pytest.mark.parametrize("state", TASKS)
def test_a_function_that_has_no_room_now_is_called_for_minutes(state: Json) -> None:
    retrier = state["Retry"][0]
    delays = [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"])
        for number in range(retrier["MaxAttempts"])
    ]
    # With full jitter, half of it on average.
    assert sum(delays) / 2 > 300


@pytest.mark.parametrize("state", TASKS)
def test_every_other_error_is_caught(state: Json) -> None:
    assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("name", MACHINES)
def test_every_way_that_is_caught_ends_in_a_failure_with_error_and_cause(name: str) -> None:
    states = MACHINES[name]["States"]
    ways = {catcher["Next"] for state in states.values() for catcher in state.get("Catch", [])}
    while ways:
        state = states[ways.pop()]
        if "Next" in state:
            ways.add(state["Next"])
            continue
        assert state["Type"] == "Fail"
        assert {"Error", "ErrorPath"} & state.keys()
        assert {"Cause", "CausePath"} & state.keys()


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_a_caller_waits_as_long_as_vams_does(mode: str) -> None:
    state = MACHINES["workflow"]["States"][{"train": "TrainPolicy", "evaluate": "EvaluatePolicy"}[mode]]
    limits = {"train": (28_800, 3_600), "evaluate": (7_200, 1_800)}
    assert (state["TimeoutSeconds"], state["HeartbeatSeconds"]) == limits[mode]


def test_the_job_is_given_up_soon_enough_to_tell_every_caller_before_it_gives_up() -> None:
    assert MACHINES["pipeline"]["States"]["SubmitJob"]["HeartbeatSeconds"] == HEARTBEAT_TIMEOUT_SECONDS
    callers = [
        state["HeartbeatSeconds"] for state in MACHINES["workflow"]["States"].values() if "HeartbeatSeconds" in state
    ]
    assert min(callers) > HEARTBEAT_TIMEOUT_SECONDS + 2 * SALVAGE_SECONDS


def test_the_inner_machine_has_time_to_tell_its_caller_before_the_caller_gives_up() -> None:
    collecting = MACHINES["pipeline"]["States"]["CollectResults"]["TimeoutSeconds"]
    # HandleFailure goes on for longer, but tells the caller first.
    assert collecting + 2 * SALVAGE_SECONDS < CLOSING_SECONDS


def test_a_machine_as_a_whole_ends_only_what_its_states_did_not() -> None:
    assert MACHINES["workflow"]["TimeoutSeconds"] > max(TIMEOUT_SECONDS.values())
    states = MACHINES["pipeline"]["States"].values()
    own = sum(state.get("TimeoutSeconds", 0) for state in states)
    assert MACHINES["pipeline"]["TimeoutSeconds"] > max(TIMEOUT_SECONDS.values()) - CLOSING_SECONDS + own


def test_the_callers_token_goes_nowhere_but_to_launch() -> None:
    text = json.dumps(MACHINES["pipeline"])
    assert text.count("$$.Task.Token") == 1
    assert '"TaskToken' not in text
