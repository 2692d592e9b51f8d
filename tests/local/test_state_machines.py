"""The failure paths of the inner machine, with functions that do nothing but fail where they are told to."""

import json
from typing import Any

import pytest

from statemachines.machines import render
from tests.local.conformance.workflow import Workflow
from tests.local.emulator import Emulator

Json = dict[str, Any]

PIPELINE = render("pipeline")

FUNCTIONS = {
    "ConstructRun": """
        class RequestError(Exception):
            pass

        def handler(event, context):
            if event["message"].get("fails") == "ConstructRun":
                raise RequestError("numEnvs is 0")
            return {"run_id": event["run_id"], "timeout_seconds": event["message"].get("timeout_seconds", 60)}
        """,
    "SubmitJob": """
        import boto3, json

        def handler(event, context):
            if event["run_id"] == "fails in SubmitJob":
                raise OSError("Batch is gone")
            if not event["run_id"].startswith("silent"):
                boto3.client("stepfunctions").send_task_success(
                    taskToken=event["task_token"], output=json.dumps({"manifest": "s3://assets/manifest.json"})
                )
        """,
    "CollectResults": """
        def handler(event, context):
            if event["run_id"] == f"fails in {event['step']}":
                raise ValueError("the reason")
            return {"run_id": event["run_id"], "manifest": event["job"]["manifest"]}
        """,
    "HandleFailure": """
        def handler(event, context):
            if event["run_id"].startswith("silent, and its failure is not handled"):
                raise OSError("EFS is gone")
            assert event["execution_arn"].startswith("arn:")
            return {"error": event["error"]["Error"], "cause": "handled: " + event["error"].get("Cause", "")}
        """,
    "TellCaller": """
        def handler(event, context):
            if event["run_id"] == "silent, and its failure is not handled by anybody":
                raise OSError("DynamoDB is gone")
            assert event["execution_arn"].startswith("arn:")
            return {"error": event["error"]["Error"], "cause": "told: " + event["error"].get("Cause", "")}
        """,
}


class Pipeline:
    """The inner machine with stand-ins for its functions."""

    def __init__(self, emulator: Emulator) -> None:
        self._workflow = Workflow(emulator)
        text = PIPELINE
        for name, pattern in (("LambdaInvoke", ""), ("LambdaInvokeWaitForTaskToken", ".waitForTaskToken")):
            text = text.replace(f"${{{name}}}", f"arn:aws:states:::lambda:invoke{pattern}")
        self._functions = {name: self._workflow.function(source) for name, source in FUNCTIONS.items()}
        for name, function in self._functions.items():
            text = text.replace(f"${{{name}FunctionArn}}", function)
        self._definition: Json = json.loads(text)

    def rest(self, name: str, seconds: float) -> None:
        """Make a function Inactive, as if it had not been called for weeks; it takes so long to wake up."""
        self._workflow.rest(self._functions[name], seconds)

    def run(self, run_id: str, heartbeat_seconds: int = 60, **message: object) -> Json:
        """Run it to its end."""
        definition = json.loads(json.dumps(self._definition))
        definition["States"]["SubmitJob"]["HeartbeatSeconds"] = heartbeat_seconds
        return self._workflow.run(definition, {"run_id": run_id, "message": message})


@pytest.fixture(scope="module")
def pipeline(emulator: Emulator) -> Pipeline:
    return Pipeline(emulator)


def test_a_run_goes_through_all_states(pipeline: Pipeline) -> None:
    execution = pipeline.run("run-1")
    assert execution["status"] == "SUCCEEDED"
    assert execution["output"] == {"run_id": "run-1", "manifest": "s3://assets/manifest.json"}


@pytest.mark.parametrize(
    ("run_id", "message", "error", "cause"),
    [
        ("run-1", {"fails": "ConstructRun"}, "RequestError", "numEnvs is 0"),
        ("fails in SubmitJob", {}, "OSError", "Batch is gone"),
        ("fails in check", {}, "ValueError", "the reason"),
        ("fails in conclude", {}, "ValueError", "the reason"),
        ("silent", {"timeout_seconds": 1}, "States.Timeout", "handled: "),
    ],
)
def test_an_error_of_any_state_is_handled_and_ends_the_machine(
    pipeline: Pipeline, run_id: str, message: Json, error: str, cause: str
) -> None:
    execution = pipeline.run(run_id, **message)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    assert execution["cause"].startswith("handled: ")
    assert cause in execution["cause"]


def test_a_run_that_cannot_be_published_succeeds_nevertheless(pipeline: Pipeline) -> None:
    execution = pipeline.run("fails in publish")
    assert execution["status"] == "SUCCEEDED"
    assert execution["output"] == {"run_id": "fails in publish", "manifest": "s3://assets/manifest.json"}


def test_silence_is_told_from_slowness(pipeline: Pipeline) -> None:
    assert pipeline.run("silent", heartbeat_seconds=1)["error"] == "States.HeartbeatTimeout"


def test_where_the_failure_cannot_be_handled_the_caller_is_told_nevertheless(pipeline: Pipeline) -> None:
    execution = pipeline.run("silent, and its failure is not handled", timeout_seconds=1)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")
    assert execution["cause"].startswith("told: ")


def test_a_failure_after_weeks_without_one_is_handled_once_the_function_is_awake(pipeline: Pipeline) -> None:
    pipeline.rest("HandleFailure", seconds=3)
    execution = pipeline.run("fails in SubmitJob")
    assert (execution["status"], execution["error"]) == ("FAILED", "OSError")
    assert execution["cause"].startswith("handled: ")


@pytest.mark.slow
def test_a_run_after_weeks_without_one_waits_until_its_functions_are_awake(pipeline: Pipeline) -> None:
    for name in ("ConstructRun", "SubmitJob", "CollectResults"):
        pipeline.rest(name, seconds=1)
    assert pipeline.run("run-1")["status"] == "SUCCEEDED"


def test_a_failure_that_nobody_can_tell_ends_the_machine_with_the_first_error(pipeline: Pipeline) -> None:
    execution = pipeline.run("silent, and its failure is not handled by anybody", timeout_seconds=1)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")
    assert json.loads(execution["cause"])["Error"] == "States.Timeout"
