"""Another step between publishing a run's results and telling its caller: the deployed machine, with one state more."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunState
from gaitway.local.launcher import LocalAws
from statemachines.machines import render
from statemachines.pipeline import STEPS, Step, pipeline
from statemachines.states import call
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json

pytestmark = pytest.mark.slow


class Gate:
    """Waits for somebody's word on each run, as a queue tells of it."""

    def __init__(self, session: Any) -> None:
        self._sqs = session.client("sqs")
        self._stepfunctions = session.client("stepfunctions")
        self.queue_url: str = self._sqs.create_queue(QueueName=f"gate-{uuid.uuid4().hex[:8]}")["QueueUrl"]

    @property
    def step(self) -> Step:
        """The step that asks."""
        message = {"token.$": "$$.Task.Token", "run_id.$": "$.run_id"}
        return Step(
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {"QueueUrl": self.queue_url, "MessageBody": message},
                "TimeoutSeconds": int(RUN_SECONDS),
                "ResultPath": None,
            }
        )

    def asked(self) -> Json:
        """Wait for the next run that asks."""
        for _ in range(6):
            messages = self._sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=20).get("Messages", [])
            if messages:
                self._sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])
                question: Json = json.loads(messages[0]["Body"])
                return question
        raise AssertionError("no run came to the gate")

    def open(self, question: Json) -> None:
        """Let a run go on."""
        self._stepfunctions.send_task_success(taskToken=question["token"], output="{}")

    def refuse(self, question: Json) -> None:
        """Fail a run."""
        self._stepfunctions.send_task_failure(taskToken=question["token"], error="Refused", cause="it falls over")


@pytest.fixture
def gate(local_aws: LocalAws, plane: ControlPlane) -> Iterator[Gate]:
    """A gate in front of the last step of the deployed machine."""
    gate = Gate(local_aws.session())
    *before, last = STEPS.items()
    with _deployed_as(plane, local_aws, pipeline({**dict(before), "Approve": gate.step, **dict([last])})):
        yield gate


@contextmanager
def _deployed_as(plane: ControlPlane, local_aws: LocalAws, document: Json) -> Iterator[None]:
    """Give the deployed machine another definition for a while, and its role the right to send messages."""
    session: Any = local_aws.session()
    arn = plane.deployment.pipeline_arn
    deployed = plane.stepfunctions.describe_state_machine(stateMachineArn=arn)
    role = {"RoleName": deployed["roleArn"].rpartition("/")[2], "PolicyName": "gate"}
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    session.client("iam").put_role_policy(
        **role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    text = _substituted(json.dumps(document), deployed["definition"])
    plane.stepfunctions.update_state_machine(stateMachineArn=arn, definition=text)
    try:
        yield
    finally:
        plane.stepfunctions.update_state_machine(stateMachineArn=arn, definition=deployed["definition"])
        session.client("iam").delete_role_policy(**role)


def _substituted(document: str, deployed: str) -> str:
    """Put the values into a document that CloudFormation has put into the deployed one."""
    for name, state in json.loads(render("pipeline"))["States"].items():
        if state["Type"] == "Task":
            theirs = json.loads(deployed)["States"][name]
            document = document.replace(state["Parameters"]["FunctionName"], theirs["Parameters"]["FunctionName"])
            document = document.replace(f'"{state["Resource"]}"', f'"{theirs["Resource"]}"')
    assert "${" not in document
    return document


def test_a_caller_receives_its_answer_after_the_step_in_between(plane: ControlPlane, gate: Gate) -> None:
    execution = train(plane)
    question = gate.asked()
    record = plane.table.get(question["run_id"])
    assert record is not None
    assert record.spec is not None
    assert record.spec.output_metadata is not None
    assert plane.describe(execution)["status"] == "RUNNING"
    assert record.state is RunState.RUNNING
    assert published(plane, record.spec.output_metadata)

    gate.open(question)

    ended = plane.ended(execution)
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["jobId"] == record.run_id


def test_a_run_that_is_refused_in_between_fails_with_the_reason_and_not_as_a_success(
    plane: ControlPlane, gate: Gate
) -> None:
    execution = train(plane)
    question = gate.asked()
    gate.refuse(question)
    ended = plane.ended(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "Refused")
    assert ended["cause"].startswith("it falls over")
    record = plane.table.get(question["run_id"])
    assert record is not None
    assert record.state is RunState.FAILED


def train(plane: ControlPlane) -> str:
    """Ask for a run as callers do; return their execution."""
    return plane.start(plane.deployment.workflow_arn, {"mode": "train", "inputParameters": {"trainingConfig": TINY}})


def published(plane: ControlPlane, metadata: S3Uri) -> list[str]:
    """List what was published of a run."""
    listing = plane.s3.list_objects_v2(Bucket=metadata.bucket, Prefix=metadata.key)
    return [entry["Key"] for entry in listing.get("Contents", [])]


def test_an_execution_that_began_before_there_were_steps_is_concluded_by_todays_function(
    plane: ControlPlane, local_aws: LocalAws
) -> None:
    before = {name: STEPS[name] for name in ("ConstructRun", "SubmitJob")}
    event = {"run_id.$": "$.run_id", "execution_arn.$": "$$.Execution.Id", "job.$": "$.job"}
    collect = call("collect_results", event, "The only state after the job, as it was.")
    with _deployed_as(plane, local_aws, pipeline({**before, "CollectResults": Step(collect)})):
        ended = plane.ended(train(plane))
    assert ended["status"] == "SUCCEEDED", ended
    record = plane.table.get(json.loads(ended["output"])["jobId"])
    assert record is not None
    assert record.state is RunState.SUCCEEDED
    assert record.spec is not None
    assert record.spec.output_metadata is not None
    assert published(plane, record.spec.output_metadata)
