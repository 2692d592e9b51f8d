"""What watches over the runs: its events, and what becomes of an event that cannot be handled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gaitway.contracts.limits import HEARTBEAT_CALL_SECONDS, JOB_HEARTBEAT_TIMEOUT_SECONDS
from gaitway.names import DEFAULT_NAMES
from lambdas.job_state.events import CallerEvent
from tests.infra.templates import Resource, Synthesis, batch_arn

NAMESPACE = DEFAULT_NAMES.metrics_namespace

UNSUCCESSFUL = ["FAILED", "TIMED_OUT", "ABORTED"]


def rule(aws: Synthesis, name: str) -> Resource:
    return aws.resource("AWS::Events::Rule", f"Watchers/{name}")


def target(aws: Synthesis, name: str) -> dict[str, Any]:
    (found,) = rule(aws, name).properties["Targets"]
    called: dict[str, Any] = found
    return called


def pattern(aws: Synthesis, name: str) -> dict[str, Any]:
    found: dict[str, Any] = rule(aws, name).properties["EventPattern"]
    return found


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("EveryFewMinutes", "Heartbeat"),
        ("JobEnded", "JobState"),
        ("ExecutionEnded", "HandleFailure"),
        ("CallerEnded", "JobState"),
    ],
)
def test_an_event_reaches_its_function(aws: Synthesis, name: str, function: str) -> None:
    arn = f"<{function}/Function.Arn>"
    found = rule(aws, name)
    assert aws.text(found.stack, target(aws, name)["Arn"]) == arn
    allowed = [
        permission.properties
        for permission in aws.resources("AWS::Lambda::Permission")
        if aws.text(permission.stack, permission.properties["SourceArn"]) == f"<{found.name}.Arn>"
    ]
    assert [(aws.text(found.stack, one["FunctionName"]), one["Principal"]) for one in allowed] == [
        (arn, "events.amazonaws.com")
    ]


def test_several_heartbeats_fit_into_the_shortest_timeout(aws: Synthesis) -> None:
    assert rule(aws, "EveryFewMinutes").properties["ScheduleExpression"] == "rate(5 minutes)"
    assert JOB_HEARTBEAT_TIMEOUT_SECONDS / HEARTBEAT_CALL_SECONDS >= 3
    heartbeat = aws.resource("AWS::Lambda::Function", "Heartbeat")
    assert heartbeat.properties["Timeout"] < HEARTBEAT_CALL_SECONDS


def test_the_ends_of_our_jobs_are_heard_and_of_no_others(aws: Synthesis) -> None:
    found = pattern(aws, "JobEnded")
    stack = rule(aws, "JobEnded").stack
    assert (found["source"], found["detail-type"]) == (["aws.batch"], ["Batch Job State Change"])
    assert set(found["detail"]["status"]) == {"SUCCEEDED", "FAILED"}
    assert {aws.text(stack, queue) for queue in found["detail"]["jobQueue"]} == {
        batch_arn("job-queue", queue.properties["JobQueueName"]) for queue in aws.resources("AWS::Batch::JobQueue")
    }


@pytest.mark.parametrize(("name", "machine"), [("ExecutionEnded", "Pipeline"), ("CallerEnded", "Workflow")])
def test_every_end_of_an_execution_that_is_no_success_is_heard(aws: Synthesis, name: str, machine: str) -> None:
    found = pattern(aws, name)
    assert (found["source"], found["detail-type"]) == (["aws.states"], ["Step Functions Execution Status Change"])
    assert found["detail"]["status"] == UNSUCCESSFUL
    (arn,) = found["detail"]["stateMachineArn"]
    assert aws.text(rule(aws, name).stack, arn) == f"<{machine}/Machine>"


def filled_in(aws: Synthesis, name: str, detail: dict[str, str]) -> dict[str, Any]:
    """Do with a target's template what EventBridge does."""
    transformer = target(aws, name)["InputTransformer"]
    text = transformer["InputTemplate"]
    for variable, path in transformer["InputPathsMap"].items():
        text = text.replace(f"<{variable}>", json.dumps(detail[path.removeprefix("$.detail.")]))
    message: dict[str, Any] = json.loads(text)
    return message


def test_of_an_execution_only_names_are_handed_on(aws: Synthesis) -> None:
    detail = {"executionArn": "arn:execution", "name": "e1", "status": "ABORTED"}
    assert filled_in(aws, "ExecutionEnded", detail) == {
        "ended_execution": {"execution_arn": "arn:execution", "status": "ABORTED"}
    }
    caller = CallerEvent.model_validate(filled_in(aws, "CallerEnded", detail)).ended_caller
    assert (caller.execution_name, caller.status) == ("e1", "ABORTED")


def test_an_event_that_cannot_be_delivered_or_handled_is_kept(aws: Synthesis) -> None:
    queue = aws.resource("AWS::SQS::Queue", "LostEvents")
    arn = f"<{queue.name}.Arn>"
    for name in ("JobEnded", "ExecutionEnded", "CallerEnded"):
        assert aws.text(queue.stack, target(aws, name)["DeadLetterConfig"]["Arn"]) == arn
    kept = {
        aws.text(config.stack, config.properties["FunctionName"]): aws.text(config.stack, destination["Destination"])
        for config in aws.resources("AWS::Lambda::EventInvokeConfig")
        if (destination := config.properties.get("DestinationConfig", {}).get("OnFailure"))
    }
    assert kept == {"<JobState/Function>": arn, "<HandleFailure/Function>": arn}


def test_kept_events_are_encrypted_at_rest_and_on_the_way(aws: Synthesis) -> None:
    assert aws.resource("AWS::SQS::Queue", "LostEvents").properties["SqsManagedSseEnabled"]
    policy = aws.resource("AWS::SQS::QueuePolicy", "LostEvents").properties["PolicyDocument"]
    assert any(
        statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy["Statement"]
    )


def test_metrics_are_published_in_our_namespace_only(aws: Synthesis) -> None:
    conditions = [
        statement.get("Condition")
        for policy in aws.resources("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Action"] == "cloudwatch:PutMetricData"
    ]
    assert conditions
    assert all(condition == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}} for condition in conditions)
