"""Callbacks, time limits, and the life of an execution in the embedded Step Functions."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.workflow import Definition, Workflow, single_state, until
from tests.local.emulator import Emulator


@pytest.fixture
def workflow(emulator: Emulator) -> Workflow:
    return Workflow(emulator)


@pytest.fixture(scope="module")
def failing(emulator: Emulator) -> str:
    """Name of a function that fails until it was retried often enough."""
    return Workflow(emulator).function("""
        class PolicyNotFoundError(Exception):
            pass

        def handler(event, context):
            if event["retries"] < event["failures"]:
                raise PolicyNotFoundError("no checkpoint:\\nlooked in s3://assets")
    """)


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as refusal:
        yield
    assert refusal.value.response["Error"]["Code"] == code


def catching(*errors: str, **task: Any) -> Definition:
    return task | {"Catch": [{"ErrorEquals": list(errors), "Next": "Caught", "ResultPath": "$.caught"}]}


class TestCallbacks:
    def test_success_is_the_output_of_the_task(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(workflow.callback_task(ResultPath="$.result")), {"kept": 1})
        workflow.states.send_task_success(taskToken=workflow.next_token(), output='{"steps": 3}')
        assert workflow.ended(execution_arn)["output"] == {"kept": 1, "result": {"steps": 3}}

    def test_failure_reaches_catch_with_error_and_cause(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(catching("PolicyDiverged", **workflow.callback_task())))
        workflow.states.send_task_failure(taskToken=workflow.next_token(), error="PolicyDiverged", cause="NaN reward")
        caught = workflow.ended(execution_arn)["output"]["caught"]
        assert caught == {"Error": "PolicyDiverged", "Cause": "NaN reward"}

    def test_a_token_ends_once(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(workflow.callback_task()))
        token = workflow.next_token()
        workflow.states.send_task_success(taskToken=token, output='"first"')
        with refused("TaskTimedOut"):
            workflow.states.send_task_failure(taskToken=token, error="Late")
        with refused("TaskTimedOut"):
            workflow.states.send_task_heartbeat(taskToken=token)
        assert workflow.ended(execution_arn)["output"] == "first"

    def test_what_is_no_token_is_invalid(self, workflow: Workflow) -> None:
        with refused("InvalidToken"):
            workflow.states.send_task_success(taskToken="made-up", output="{}")
        with refused("InvalidToken"):
            workflow.states.send_task_heartbeat(taskToken="bWFkZS11cA==")

    def test_output_that_is_no_json_leaves_the_task_open(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(workflow.callback_task()))
        token = workflow.next_token()
        with refused("InvalidOutput"):
            workflow.states.send_task_success(taskToken=token, output="not json")
        workflow.states.send_task_success(taskToken=token, output="1")
        assert workflow.ended(execution_arn)["output"] == 1

    def test_a_cause_longer_than_aws_takes_is_refused(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(workflow.callback_task()))
        token = workflow.next_token()
        with refused("ValidationException"):
            workflow.states.send_task_failure(taskToken=token, error="Long", cause="x" * 32_769)
        workflow.states.send_task_failure(taskToken=token, error="Long", cause="x" * 32_768)
        assert len(workflow.ended(execution_arn)["cause"]) == 32_768

    def test_every_attempt_has_its_own_token(self, workflow: Workflow) -> None:
        retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 1}]
        execution_arn = workflow.start(single_state(workflow.callback_task(Retry=retry)))
        first = workflow.next_token()
        workflow.states.send_task_failure(taskToken=first, error="Preempted")
        second = workflow.next_token()
        assert second != first
        with refused("TaskTimedOut"):
            workflow.states.send_task_success(taskToken=first, output='"stale"')
        workflow.states.send_task_success(taskToken=second, output='"fresh"')
        assert workflow.ended(execution_arn)["output"] == "fresh"

    def test_parallel_branches_have_tokens_of_their_own(self, workflow: Workflow) -> None:
        branch = single_state(workflow.callback_task())
        execution_arn = workflow.start(single_state({"Type": "Parallel", "Branches": [branch] * 4}))
        tokens = [workflow.next_token() for _ in range(4)]
        assert len(set(tokens)) == 4
        for number, token in enumerate(tokens):
            workflow.states.send_task_success(taskToken=token, output=str(number))
        assert sorted(workflow.ended(execution_arn)["output"]) == [0, 1, 2, 3]


class TestLimits:
    @pytest.mark.parametrize("limit", [{"HeartbeatSeconds": 1}, {"HeartbeatSecondsPath": "$.limit"}])
    def test_a_missed_heartbeat_fails_the_task(self, workflow: Workflow, limit: dict[str, Any]) -> None:
        execution_arn = workflow.start(
            single_state(catching("States.HeartbeatTimeout", **workflow.callback_task(**limit))), {"limit": 1}
        )
        token = workflow.next_token()
        execution = workflow.ended(execution_arn)
        assert execution["status"] == "SUCCEEDED"
        assert execution["output"]["caught"]["Error"] == "States.Timeout"
        with refused("TaskTimedOut"):
            workflow.states.send_task_heartbeat(taskToken=token)

    def test_a_missed_heartbeat_is_a_timeout_too(self, workflow: Workflow) -> None:
        task = workflow.callback_task(HeartbeatSeconds=1)
        execution = workflow.run(single_state(catching("States.Timeout", **task)))
        assert execution["status"] == "SUCCEEDED"

    def test_a_missed_heartbeat_is_no_task_failure(self, workflow: Workflow) -> None:
        task = workflow.callback_task(HeartbeatSeconds=1)
        execution = workflow.run(single_state(catching("States.TaskFailed", **task)))
        assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")

    def test_each_heartbeat_restarts_the_clock(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(single_state(workflow.callback_task(HeartbeatSeconds=1)))
        token = workflow.next_token()
        for _ in range(4):
            time.sleep(0.5)
            workflow.states.send_task_heartbeat(taskToken=token)
        workflow.states.send_task_success(taskToken=token, output='"alive"')
        assert workflow.ended(execution_arn)["output"] == "alive"

    @pytest.mark.parametrize("limit", [{"TimeoutSeconds": 1}, {"TimeoutSecondsPath": "$.limit"}])
    def test_heartbeats_do_not_extend_the_timeout(self, workflow: Workflow, limit: dict[str, Any]) -> None:
        task = workflow.callback_task(HeartbeatSeconds=60, **limit)
        execution_arn = workflow.start(single_state(catching("States.HeartbeatTimeout", **task)), {"limit": 1})
        workflow.states.send_task_heartbeat(taskToken=workflow.next_token())
        execution = workflow.ended(execution_arn)
        assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")

    def test_a_limit_that_is_no_number_of_seconds_is_an_error(self, workflow: Workflow) -> None:
        execution = workflow.run(single_state(workflow.callback_task(TimeoutSecondsPath="$.limit")), {"limit": "soon"})
        assert execution["error"] == "States.Runtime"
        assert "$.limit" in execution["cause"]

    def test_the_timeout_of_the_machine_ends_execution_and_tokens(self, workflow: Workflow) -> None:
        execution_arn = workflow.start(
            single_state(catching("States.ALL", **workflow.callback_task()), TimeoutSeconds=1)
        )
        token = workflow.next_token()
        execution = workflow.ended(execution_arn)
        assert (execution["status"], execution["error"]) == ("TIMED_OUT", "States.Timeout")
        with refused("TaskTimedOut"):
            workflow.states.send_task_success(taskToken=token, output="{}")
        assert workflow.event_types(execution_arn)[-1] == "ExecutionTimedOut"

    def test_the_timeout_of_the_machine_ends_a_wait(self, workflow: Workflow) -> None:
        execution = workflow.run(single_state({"Type": "Wait", "Seconds": 600}, TimeoutSeconds=1))
        assert execution["status"] == "TIMED_OUT"


class TestExecutions:
    def test_stopping_ends_the_tokens_and_nothing_follows(self, workflow: Workflow) -> None:
        retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0}]
        task = catching("States.ALL", **workflow.callback_task(Retry=retry))
        execution_arn = workflow.start(single_state(task))
        token = workflow.next_token()
        workflow.states.stop_execution(executionArn=execution_arn, error="Cancelled", cause="by the user")
        with refused("TaskTimedOut"):
            workflow.states.send_task_failure(taskToken=token, error="Late")
        execution = workflow.ended(execution_arn)
        assert (execution["status"], execution["error"]) == ("ABORTED", "Cancelled")
        assert workflow.event_types(execution_arn)[-1] == "ExecutionAborted"

    def test_a_function_that_fails_after_the_stop_changes_nothing(self, workflow: Workflow, tmp_path: Path) -> None:
        started, blocked = tmp_path / "started", tmp_path / "blocked"
        blocked.touch()
        name = workflow.function(
            f"""
            import pathlib, time
            def handler(event, context):
                pathlib.Path({str(started)!r}).touch()
                while pathlib.Path({str(blocked)!r}).exists():
                    time.sleep(0.02)
                raise ValueError("too late")
            """,
            Timeout=30,
        )
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": name}}
        execution_arn = workflow.start(single_state(task))
        until(started.exists)
        workflow.states.stop_execution(executionArn=execution_arn)
        before = workflow.event_types(execution_arn)
        blocked.unlink()
        until(lambda: "too late" in workflow.log(name))
        assert workflow.ended(execution_arn)["status"] == "ABORTED"
        assert workflow.event_types(execution_arn) == before

    def test_starting_a_running_execution_again_is_the_same_execution(self, workflow: Workflow) -> None:
        request = {
            "stateMachineArn": workflow.machine(single_state(workflow.callback_task())),
            "name": "run-1",
            "input": json.dumps({"seed": 1}),
        }
        first = workflow.states.start_execution(**request)
        again = workflow.states.start_execution(**request)
        assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
        with refused("ExecutionAlreadyExists"):
            workflow.states.start_execution(**request | {"input": json.dumps({"seed": 2})})
        workflow.states.send_task_success(taskToken=workflow.next_token(), output="{}")
        workflow.ended(first["executionArn"])
        with refused("ExecutionAlreadyExists"):
            workflow.states.start_execution(**request)


class TestFunctions:
    @staticmethod
    def task(resource: str, function: str, **fields: Any) -> Definition:
        payload = {"retries.$": "$$.State.RetryCount", "failures.$": "$.failures", "token.$": "$$.Task.Token"}
        if "waitForTaskToken" not in resource:
            del payload["token.$"]
        return fields | {
            "Type": "Task",
            "Resource": resource,
            "Parameters": {"FunctionName": function, "Payload": payload},
        }

    @pytest.mark.parametrize("pattern", ["", ".waitForTaskToken"])
    def test_an_exception_fails_the_task_at_once_by_its_name(
        self, workflow: Workflow, failing: str, pattern: str
    ) -> None:
        task = self.task(f"arn:aws:states:::lambda:invoke{pattern}", failing)
        caught = workflow.run(single_state(catching("PolicyNotFoundError", **task)), {"failures": 99})["output"][
            "caught"
        ]
        assert caught["Error"] == "PolicyNotFoundError"
        cause = json.loads(caught["Cause"])
        assert cause["errorType"] == "PolicyNotFoundError"
        assert cause["errorMessage"] == "no checkpoint:\nlooked in s3://assets"

    @pytest.mark.parametrize("pattern", ["", ".waitForTaskToken"])
    def test_a_missing_function_is_a_service_error(self, workflow: Workflow, pattern: str) -> None:
        task = self.task(f"arn:aws:states:::lambda:invoke{pattern}", "no-such-function")
        execution = workflow.run(single_state(task), {"failures": 0})
        assert (execution["status"], execution["error"]) == ("FAILED", "Lambda.ResourceNotFoundException")

    def test_a_callback_task_is_retried_after_an_exception(self, workflow: Workflow, failing: str) -> None:
        retry = [{"ErrorEquals": ["PolicyNotFoundError"], "IntervalSeconds": 0, "MaxAttempts": 2}]
        task = self.task("arn:aws:states:::lambda:invoke.waitForTaskToken", failing, Retry=retry)
        execution_arn = workflow.start(single_state(task), {"failures": 99})
        assert workflow.ended(execution_arn)["error"] == "PolicyNotFoundError"
        assert workflow.event_types(execution_arn).count("TaskScheduled") == 3

    def test_a_process_that_dies_is_a_runtime_error(self, workflow: Workflow) -> None:
        name = workflow.function("import os\ndef handler(event, context): os._exit(3)")
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": name}}
        assert workflow.run(single_state(task))["error"] == "Runtime.ExitError"

    def test_a_module_that_cannot_be_imported_is_a_runtime_error(self, workflow: Workflow) -> None:
        name = workflow.function("import no_such_module")
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": name}}
        assert workflow.run(single_state(task))["error"] == "Runtime.ImportModuleError"

    @pytest.mark.parametrize("pattern", ["", ".waitForTaskToken"])
    def test_a_throttled_call_is_an_error_of_its_own(
        self, workflow: Workflow, emulator: Emulator, pattern: str
    ) -> None:
        name = workflow.function("def handler(event, context): return {}")
        emulator.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        task = self.task(f"arn:aws:states:::lambda:invoke{pattern}", name)
        execution = workflow.run(single_state(task), {"failures": 0})
        assert (execution["status"], execution["error"]) == ("FAILED", "Lambda.TooManyRequestsException")
