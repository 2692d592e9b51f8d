"""State machines, functions and a queue for tokens, made and watched through boto3."""

import contextlib
import io
import json
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

from gaitway.local.extensions.idle_functions import TAG
from tests.local.emulator import Emulator

Definition = dict[str, Any]

_ROLE_NAME = "any"
ROLE_ARN = f"arn:aws:iam::000000000000:role/{_ROLE_NAME}"
"""A role that may do everything, for what a test makes for itself."""

_DEADLINE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 0.25


def single_state(state: Definition, **machine_fields: object) -> Definition:
    """Return a machine of one state, with a Pass state `Caught` for its Catch."""
    return {
        "StartAt": "Only",
        "States": {"Only": {"End": True} | state, "Caught": {"Type": "Pass", "End": True}},
        **machine_fields,
    }


def create_any_role(iam: Any) -> None:
    """Make the role of ROLE_ARN, unless it is there."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
    policy = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=_ROLE_NAME, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
        iam.put_role_policy(RoleName=_ROLE_NAME, PolicyName="all", PolicyDocument=json.dumps({"Statement": policy}))


class Workflow:
    """One emulator's Step Functions, with a queue of its own into which tasks send their tokens."""

    def __init__(self, emulator: Emulator) -> None:
        create_any_role(emulator.client("iam"))
        self.states = emulator.client("stepfunctions")
        self._lambda = emulator.client("lambda")
        self._logs = emulator.client("logs")
        self._sqs = emulator.client("sqs")
        self._queue_url: str = self._sqs.create_queue(QueueName=_name())["QueueUrl"]

    def callback_task(self, **fields: object) -> Definition:
        """Return a task that sends its token to the queue and waits for the callback."""
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": self._queue_url, "MessageBody.$": "$$.Task.Token"},
            **fields,
        }

    def next_token(self) -> str:
        """Wait for the token of the task that started next."""
        message = self._sqs.receive_message(QueueUrl=self._queue_url, WaitTimeSeconds=20)["Messages"][0]
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        token: str = message["Body"]
        return token

    def function(self, source: str, **configuration: object) -> str:
        """Create a Python function with this source of module `main`, and return its name."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("main.py", textwrap.dedent(source))
        name = _name()
        self._lambda.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="main.handler",
            Role=ROLE_ARN,
            Code={"ZipFile": code.getvalue()},
            **configuration,
        )
        return name

    def rest(self, function: str, waking_seconds: float) -> None:
        """Make a function Inactive, as if it had not been called for weeks.

        Args:
            function: Its name.
            waking_seconds: How long it takes to become Active, once it is called.
        """
        self._lambda.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})
        arn = self._lambda.get_function_configuration(FunctionName=function)["FunctionArn"]
        self._lambda.tag_resource(Resource=arn, Tags={TAG: str(waking_seconds)})

    def machine(self, definition: Definition) -> str:
        """Create a state machine and return its ARN."""
        arn: str = self.states.create_state_machine(name=_name(), definition=json.dumps(definition), roleArn=ROLE_ARN)[
            "stateMachineArn"
        ]
        return arn

    def start(self, definition: Definition, execution_input: object = None) -> str:
        """Start an execution of a new machine, and return its ARN."""
        arn: str = self.states.start_execution(
            stateMachineArn=self.machine(definition), input=json.dumps(execution_input or {})
        )["executionArn"]
        return arn

    def ended(self, execution_arn: str) -> dict[str, Any]:
        """Wait for the end of an execution and return its description, its output parsed."""
        until(lambda: self._describe(execution_arn)["status"] != "RUNNING")
        execution = self._describe(execution_arn)
        output = execution.get("output")
        return execution | {"output": json.loads(output) if output else None}

    def run(self, definition: Definition, execution_input: object = None) -> dict[str, Any]:
        """Run an execution of a new machine to its end."""
        return self.ended(self.start(definition, execution_input))

    def event_types(self, execution_arn: str) -> list[str]:
        """Return the types of the execution's events, in order."""
        history = self.states.get_execution_history(executionArn=execution_arn)
        return [event["type"] for event in history["events"]]

    def log(self, function: str) -> str:
        """Return what the function has logged."""
        group = f"/aws/lambda/{function}"
        if not self._logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return ""
        return "\n".join(event["message"] for event in self._logs.filter_log_events(logGroupName=group)["events"])

    def _describe(self, execution_arn: str) -> dict[str, Any]:
        description: dict[str, Any] = self.states.describe_execution(executionArn=execution_arn)
        return description


def until(condition: Callable[[], bool], deadline_seconds: float = _DEADLINE_SECONDS) -> None:
    """Wait for what no event announces.

    It is looked for less and less often: each look takes processor time from those who work on it.
    """
    deadline = time.monotonic() + deadline_seconds
    pause = 0.02
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
        pause = min(1.2 * pause, _LONGEST_PAUSE_SECONDS)


def _name() -> str:
    return f"conformance-{uuid.uuid4().hex[:12]}"
