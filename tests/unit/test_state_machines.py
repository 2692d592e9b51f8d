"""What both state machines promise in every state."""

import json
from typing import Any

import pytest

from gaitway.contracts.limits import (
    CALLER_LIMITS,
    CLOSING_SECONDS,
    ENDING_RUNNER_SECONDS,
    FUNCTION_SECONDS,
    HEARTBEAT_CALL_SECONDS,
    IDLE_ALLOWANCE_SECONDS,
    JOB_CLAIM_SECONDS,
    JOB_HEARTBEAT_TIMEOUT_SECONDS,
    JOB_PATIENCE_SECONDS,
    LAMBDA_RETRIES,
    LONGEST_RUN_SECONDS,
    NODES_JOIN_SECONDS,
    REGISTRATION_CALL_SECONDS,
    REGISTRATION_SECONDS,
    SALVAGE_SECONDS,
    SILENT_ALARM_SECONDS,
    SIMULATOR_STOP_SECONDS,
    START_UP_ALLOWANCE_SECONDS,
    STOPPED_SALVAGE_SECONDS,
)
from gaitway.contracts.workload import CONFIGS, Mode
from statemachines import machines
from statemachines.machines import render
from statemachines.pipeline import STEPS

Json = dict[str, Any]
WAKING_SECONDS = sum(LAMBDA_RETRIES[1].pauses)

MACHINES = {name: json.loads(render(name)) for name in machines.MACHINES}
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
NOT_READY = {
    "Lambda.ResourceNotReadyException",
    "Lambda.ENINotReadyException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceConflictException",
}
"""Of a function that was not called for weeks and wakes up: docs.aws.amazon.com/lambda/latest/dg/functions-states.html,
docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""


@pytest.mark.parametrize("state", TASKS)
def test_every_task_ends_in_time(state: Json) -> None:
    assert "TimeoutSeconds" in state or "TimeoutSecondsPath" in state


@pytest.mark.parametrize("state", TASKS)
def test_only_errors_of_the_service_and_deaths_of_a_function_are_tried_again(state: Json) -> None:
    of_throttling, of_rest, of_service, of_death = state["Retry"]
    assert of_throttling["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    assert set(of_rest["ErrorEquals"]) == NOT_READY
    assert set(of_service["ErrorEquals"]) == SERVICE_ERRORS
    assert set(of_death["ErrorEquals"]) == DEATHS
    for retrier in state["Retry"]:
        assert retrier["BackoffRate"] > 1
    for retrier in (of_throttling, of_service, of_death):
        assert retrier["JitterStrategy"] == "FULL"


@pytest.mark.parametrize("state", TASKS)
def test_a_function_that_always_dies_is_given_up_soon(state: Json) -> None:
    *_, of_death = state["Retry"]
    assert of_death["MaxAttempts"] <= 2


def test_a_function_that_has_no_room_now_is_called_for_minutes() -> None:
    # With full jitter, half of it on average.
    assert sum(LAMBDA_RETRIES[0].pauses) / 2 > 300


def test_a_function_that_wakes_up_is_called_for_two_minutes_at_least() -> None:
    waking = LAMBDA_RETRIES[1]
    assert not waking.has_jitter
    assert 120 < sum(waking.pauses) < 240


def test_a_caller_is_told_in_time_by_a_function_that_has_to_wake_up_first() -> None:
    shortest = min(limits.heartbeat_seconds for limits in CALLER_LIMITS.values())
    assert shortest > JOB_HEARTBEAT_TIMEOUT_SECONDS + WAKING_SECONDS + 2 * SALVAGE_SECONDS
    assert sum(after_the_job()) + WAKING_SECONDS + 2 * SALVAGE_SECONDS < CLOSING_SECONDS


def after_the_job() -> list[int]:
    """How long each step after the job may take: one that is put between them needs a longer time to close."""
    names = list(STEPS)
    return [STEPS[name].state["TimeoutSeconds"] for name in names[names.index("SubmitJob") + 1 :]]


@pytest.mark.parametrize("state", TASKS)
def test_every_other_error_is_caught(state: Json) -> None:
    assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("name", MACHINES)
def test_every_way_that_is_caught_ends_in_a_failure_with_error_and_cause(name: str) -> None:
    states = MACHINES[name]["States"]
    ways = {
        catcher["Next"]
        for state in states.values()
        for catcher in state.get("Catch", [])
        if catcher["Next"] != state["Next"]  # the run goes on without it
    }
    while ways:
        state = states[ways.pop()]
        if "Next" in state:
            ways.add(state["Next"])
            continue
        assert state["Type"] == "Fail"
        assert {"Error", "ErrorPath"} & state.keys()
        assert {"Cause", "CausePath"} & state.keys()


@pytest.mark.parametrize("mode", CONFIGS)
def test_every_mode_has_limits_and_a_caller_waits_as_long_as_they_say(mode: Mode) -> None:
    state = MACHINES["workflow"]["States"][f"{mode.title()}Policy"]
    assert (state["TimeoutSeconds"], state["HeartbeatSeconds"]) == CALLER_LIMITS[mode]


def test_a_run_that_stalls_raises_an_alarm_before_it_is_given_up() -> None:
    assert IDLE_ALLOWANCE_SECONDS < SILENT_ALARM_SECONDS < JOB_HEARTBEAT_TIMEOUT_SECONDS


def test_a_machine_as_a_whole_ends_only_what_its_states_did_not() -> None:
    assert MACHINES["workflow"]["TimeoutSeconds"] > LONGEST_RUN_SECONDS
    states = MACHINES["pipeline"]["States"].values()
    own = sum(state.get("TimeoutSeconds", 0) for state in states)
    assert MACHINES["pipeline"]["TimeoutSeconds"] > LONGEST_RUN_SECONDS - CLOSING_SECONDS + own


def test_a_run_goes_on_without_being_published_and_without_nothing_else() -> None:
    states = MACHINES["pipeline"]["States"]
    assert [
        name for name, state in states.items() if any(way["Next"] == state["Next"] for way in state.get("Catch", []))
    ] == ["PublishResults"]


def test_the_callers_token_goes_nowhere_but_to_launch() -> None:
    text = json.dumps(MACHINES["pipeline"])
    assert text.count("$$.Task.Token") == 1
    assert '"TaskToken' not in text


def test_a_job_that_is_ended_has_time_to_save_what_it_made_and_the_function_that_ends_it_waits_for_that() -> None:
    # docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html: SIGKILL follows 30 seconds after SIGTERM.
    assert SIMULATOR_STOP_SECONDS + STOPPED_SALVAGE_SECONDS < 30
    assert SIMULATOR_STOP_SECONDS < ENDING_RUNNER_SECONDS < SALVAGE_SECONDS


def test_a_call_ends_before_its_function_does() -> None:
    assert JOB_CLAIM_SECONDS < JOB_PATIENCE_SECONDS < FUNCTION_SECONDS["submit_job"]
    assert FUNCTION_SECONDS["heartbeat"] < HEARTBEAT_CALL_SECONDS
    assert FUNCTION_SECONDS["handle_failure"] > 2 * SALVAGE_SECONDS
    assert REGISTRATION_CALL_SECONDS < REGISTRATION_SECONDS


def test_nodes_that_wait_for_each_other_still_count_as_starting() -> None:
    assert NODES_JOIN_SECONDS < START_UP_ALLOWANCE_SECONDS
