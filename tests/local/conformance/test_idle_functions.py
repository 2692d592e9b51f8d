"""Functions that were not called for weeks.

docs.aws.amazon.com/lambda/latest/dg/functions-states.html: a call of an Inactive function fails and makes it Pending,
until what belongs to it is there again. docs.aws.amazon.com/lambda/latest/api/API_Invoke.html has the errors.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.workflow import Workflow, single_state, until
from tests.local.emulator import Emulator

VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
FUNCTION = """
    def handler(event, context):
        print("called with", event["word"])
        return event["word"]
"""


@pytest.fixture(scope="module")
def workflow(emulator: Emulator) -> Workflow:
    return Workflow(emulator)


class Resting:
    """A function that has just become Inactive."""

    def __init__(self, emulator: Emulator, workflow: Workflow, waking_seconds: float, **configuration: Any) -> None:
        self.name = workflow.function(FUNCTION, **configuration)
        self.client = emulator.client("lambda")
        self.arn = self.client.get_function_configuration(FunctionName=self.name)["FunctionArn"]
        workflow.rest(self.name, waking_seconds)

    def state(self) -> str:
        state: str = self.client.get_function_configuration(FunctionName=self.name)["State"]
        return state

    def call(self, **options: Any) -> Any:
        payload = json.dumps({"word": "awake"}).encode()
        answer = self.client.invoke(FunctionName=self.name, Payload=payload, **options)
        return json.loads(answer["Payload"].read() or b"null")

    def refusal(self, **options: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as refused:
            self.call(**options)
        response = refused.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("configuration", "refused"),
    [({"VpcConfig": VPC}, ("ResourceNotReadyException", 502)), ({}, ("CodeArtifactUserPendingException", 409))],
    ids=["in a VPC", "elsewhere"],
)
def test_the_call_that_wakes_a_function_is_refused_and_so_is_every_one_until_it_is_awake(
    emulator: Emulator, workflow: Workflow, configuration: dict[str, Any], refused: tuple[str, int]
) -> None:
    function = Resting(emulator, workflow, 2, **configuration)
    assert function.state() == "Inactive"
    assert function.refusal() == refused
    assert function.state() == "Pending"
    assert function.refusal(InvocationType="Event") == ("ResourceConflictException", 409)
    until(lambda: function.state() == "Active")
    assert function.call() == "awake"


def test_an_asynchronous_call_is_refused_too(emulator: Emulator, workflow: Workflow) -> None:
    assert Resting(emulator, workflow, 0.5).refusal(InvocationType="Event")[1] == 409


def test_a_task_fails_with_the_name_of_the_error(emulator: Emulator, workflow: Workflow) -> None:
    function = Resting(emulator, workflow, 0.5, VpcConfig=VPC)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function.arn, "Payload": {"word": "task"}},
    }
    execution = workflow.run(single_state(task))
    assert (execution["status"], execution["error"]) == ("FAILED", "Lambda.ResourceNotReadyException")


def test_an_event_of_a_rule_waits_until_the_function_is_awake(emulator: Emulator, workflow: Workflow) -> None:
    function = Resting(emulator, workflow, 1, VpcConfig=VPC)
    events = emulator.client("events")
    rule = events.put_rule(Name=function.name, EventPattern=json.dumps({"source": [function.name]}))["RuleArn"]
    function.client.add_permission(
        FunctionName=function.name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    target = {"Id": "1", "Arn": function.arn, "InputPath": "$.detail"}
    events.put_targets(Rule=function.name, Targets=[target])
    entry = {"Source": function.name, "DetailType": "d", "Detail": json.dumps({"word": "late"})}
    events.put_events(Entries=[entry])
    until(lambda: "called with late" in workflow.log(function.name))
