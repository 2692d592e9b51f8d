"""Paths, intrinsic functions, choices and retries in the embedded Step Functions, as our state machines use them."""

import time
from pathlib import Path
from typing import Any

import pytest

from gaitway.local.extensions.stepfunctions.errors import matches, retry_delay_seconds
from gaitway.local.extensions.stepfunctions.lambda_errors import exception_name
from gaitway.local.server_process import start_server, stop_server
from tests.local.conformance.workflow import ROLE_ARN, Definition, Workflow, single_state
from tests.local.emulator import Emulator


@pytest.fixture(scope="module")
def workflow(emulator: Emulator) -> Workflow:
    return Workflow(emulator)


@pytest.fixture(scope="module")
def echo(workflow: Workflow) -> str:
    """Name of a function that returns its event."""
    return workflow.function("def handler(event, context): return event")


def choose(rule: Definition, execution_input: object, workflow: Workflow) -> dict[str, Any]:
    """Run a Choice between two Pass states, whose output is their name."""
    named = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("Chosen", "Default")}
    choice = {"Type": "Choice", "Choices": [rule | {"Next": "Chosen"}], "Default": "Default"}
    return workflow.run({"StartAt": "Choose", "States": {"Choose": choice} | named}, execution_input)


def test_invoke_hands_over_payload_and_selects_the_result(workflow: Workflow, echo: str) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {
            "FunctionName": echo,
            "Payload": {
                "task.$": "$.request.task",
                "execution.$": "$$.Execution.Name",
                "name.$": "States.Format('{}-{}', $.request.task, $.seed)",
                "text.$": "States.JsonToString($.request)",
                "id.$": "States.UUID()",
            },
        },
        "ResultSelector": {"answer.$": "$.Payload"},
        "ResultPath": "$.invoked",
    }
    execution_input = {"request": {"task": "Isaac-Cartpole-v0"}, "seed": 7}
    execution = workflow.run(single_state(task), execution_input)
    answer = execution["output"]["invoked"]["answer"]
    assert execution["output"].items() >= execution_input.items()
    assert answer["execution"] == execution["name"]
    assert answer["name"] == "Isaac-Cartpole-v0-7"
    assert answer["text"] == '{"task":"Isaac-Cartpole-v0"}'
    assert len(answer["id"]) == 36


def test_result_paths_of_vams_begin_with_digits_and_hold_hyphens(workflow: Workflow) -> None:
    store = {"Type": "Pass", "Result": {"ok": True}, "ResultPath": "$.81870-isaaclab.output", "Next": "81871-read"}
    read = {"Type": "Pass", "Parameters": {"read.$": "$.81870-isaaclab.output.ok"}, "End": True}
    execution = workflow.run({"StartAt": "81870-isaaclab", "States": {"81870-isaaclab": store, "81871-read": read}})
    assert execution["output"] == {"read": True}


def test_catch_keeps_the_input_beside_the_error(workflow: Workflow) -> None:
    states: Definition = {
        "Parallel": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Break", "States": {"Break": {"Type": "Fail", "Error": "Broken", "Cause": "why"}}}
            ],
            "Catch": [{"ErrorEquals": ["Broken"], "Next": "Caught", "ResultPath": "$.81870-isaaclab.error"}],
            "End": True,
        },
        "Caught": {"Type": "Pass", "End": True},
    }
    execution = workflow.run({"StartAt": "Parallel", "States": states}, {"run_id": "r"})
    assert execution["output"] == {"run_id": "r", "81870-isaaclab": {"error": {"Error": "Broken", "Cause": "why"}}}


@pytest.mark.parametrize(
    ("execution_input", "chosen"),
    [
        ({"request": {"task_token": "t"}}, "Chosen"),
        ({"request": {"task_token": None}}, "Chosen"),
        ({"request": {}}, "Default"),
        ({}, "Default"),
    ],
)
def test_is_present_asks_whether_the_path_exists(workflow: Workflow, execution_input: object, chosen: str) -> None:
    rule = {"Variable": "$.request.task_token", "IsPresent": True}
    assert choose(rule, execution_input, workflow)["output"] == chosen


def test_a_choice_can_ask_for_presence_before_the_value(workflow: Workflow) -> None:
    rule = {
        "And": [
            {"Variable": "$.run.mode", "IsPresent": True},
            {"Variable": "$.run.mode", "StringEquals": "train"},
        ]
    }
    assert choose(rule, {"run": {"mode": "train"}}, workflow)["output"] == "Chosen"
    assert choose(rule, {"run": {}}, workflow)["output"] == "Default"


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Parameters": {"mode.$": "$.run.mode"}},
        {"Type": "Pass", "Parameters": {"nested": {"input.$": "$$.Execution.Input.run"}}},
        {"Type": "Pass", "Parameters": {"text.$": "States.JsonToString($.run)"}},
        {"Type": "Pass", "InputPath": "$.run"},
    ],
)
def test_a_path_that_leads_nowhere_ends_the_execution(workflow: Workflow, state: Definition) -> None:
    parallel = {
        "Type": "Parallel",
        "Branches": [single_state(state)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
    }
    execution = workflow.run(single_state(parallel), {"other": 1})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")
    assert "could not be found in the input" in execution["cause"]


def test_a_choice_without_its_variable_ends_the_execution(workflow: Workflow) -> None:
    execution = choose({"Variable": "$.mode", "StringEquals": "train"}, {}, workflow)
    assert execution["error"] == "States.Runtime"


def test_null_is_a_value(workflow: Workflow) -> None:
    state = {"Type": "Pass", "Parameters": {"seed.$": "$.seed"}}
    assert workflow.run(single_state(state), {"seed": None})["output"] == {"seed": None}


def test_a_retry_waits_no_longer_than_its_longest_delay(workflow: Workflow) -> None:
    retry = [{"ErrorEquals": ["Broken"], "IntervalSeconds": 600, "MaxDelaySeconds": 1, "MaxAttempts": 1}]
    fail = single_state({"Type": "Fail", "Error": "Broken"})
    started = time.monotonic()
    execution = workflow.run(single_state({"Type": "Parallel", "Branches": [fail], "Retry": retry}))
    assert execution["error"] == "Broken"
    assert 1 <= time.monotonic() - started < 600


def test_the_timeout_of_the_machine_ends_the_delay_of_a_retry(workflow: Workflow) -> None:
    retry = [{"ErrorEquals": ["Lambda.ResourceNotFoundException"], "IntervalSeconds": 600}]
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "missing"}}
    definition = single_state(task | {"Retry": retry}, TimeoutSeconds=1)
    assert workflow.run(definition)["status"] == "TIMED_OUT"


def test_machines_and_executions_outlive_a_restart(tmp_path: Path) -> None:
    first = Workflow(Emulator(start_server(tmp_path).endpoint_url, tmp_path))
    machine_arn = first.machine(single_state(first.callback_task()))
    execution_arn = first.states.start_execution(stateMachineArn=machine_arn)["executionArn"]
    token = first.next_token()
    stop_server(tmp_path)
    second = Workflow(Emulator(start_server(tmp_path).endpoint_url, tmp_path))
    try:
        assert second.states.describe_state_machine(stateMachineArn=machine_arn)["roleArn"] == ROLE_ARN
        execution = second.ended(execution_arn)
        assert (execution["status"], execution["error"]) == ("FAILED", "States.ServiceRestart")
        with pytest.raises(second.states.exceptions.TaskTimedOut):
            second.states.send_task_success(taskToken=token, output="{}")
    finally:
        stop_server(tmp_path)


@pytest.mark.parametrize(
    ("error_equals", "error", "expected"),
    [
        (["States.ALL"], "Anything", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.TaskFailed"], "Anything", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.HeartbeatTimeout"], "States.Timeout", False),
        (["Other"], "Anything", False),
    ],
)
def test_error_names(error_equals: list[str], error: str, expected: bool) -> None:
    assert matches(error_equals, error) is expected


def test_delays_grow_up_to_the_longest() -> None:
    retrier = {"IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 10}
    assert [retry_delay_seconds(retrier, retries) for retries in range(3)] == [2, 6, 10]


def test_jitter_stays_below_the_delay_and_varies() -> None:
    retrier = {"IntervalSeconds": 4, "BackoffRate": 1, "JitterStrategy": "FULL"}
    delays = {retry_delay_seconds(retrier, 0) for _ in range(20)}
    assert len(delays) > 1
    assert all(0 <= delay <= 4 for delay in delays)


@pytest.mark.parametrize(
    ("message", "trace", "name"),
    [
        ("bad", "Traceback (most recent call last):\n  File ...\ngaitway.errors.BadRequest: bad\n", "BadRequest"),
        ("", "Traceback (most recent call last):\n  File ...\nKeyboardInterrupt\n", "KeyboardInterrupt"),
        ("two\nlines", "log: two\nTraceback ...\nValueError: two\nlines\n", "ValueError"),
        ("x is not a function", "TypeError: x is not a function\n    at handler (index.js:1:1)", "TypeError"),
        ("no trace", "", None),
    ],
)
def test_the_name_of_an_exception_is_read_from_its_trace(message: str, trace: str, name: str | None) -> None:
    assert exception_name(message, trace) == name
