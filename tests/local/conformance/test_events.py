"""Events of executions, and functions that take events."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.local.conformance.workflow import Workflow, single_state, until
from tests.local.emulator import Emulator

Json = dict[str, Any]


class Events:
    """A rule, and the queue to which it sends what it matches."""

    def __init__(self, emulator: Emulator, pattern: Json) -> None:
        self._sqs = emulator.client("sqs")
        name = uuid.uuid4().hex
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        events = emulator.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": attributes["QueueArn"]}])

    def next(self, seconds: int = 10) -> Json | None:
        """Wait for the next event."""
        messages = self._sqs.receive_message(QueueUrl=self._url, WaitTimeSeconds=seconds).get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(messages[0]["Body"]) if messages else None


@pytest.fixture(scope="module")
def workflow(emulator: Emulator) -> Workflow:
    return Workflow(emulator)


@pytest.mark.parametrize(
    ("state", "machine_fields", "status"),
    [
        ({"Type": "Wait", "Seconds": 60}, {}, "ABORTED"),
        ({"Type": "Wait", "Seconds": 60}, {"TimeoutSeconds": 1}, "TIMED_OUT"),
        ({"Type": "Pass", "InputPath": "$.nowhere"}, {}, "FAILED"),
        ({"Type": "Pass"}, {}, "SUCCEEDED"),
    ],
)
def test_the_end_of_an_execution_is_announced_once(
    emulator: Emulator, workflow: Workflow, state: Json, machine_fields: Json, status: str
) -> None:
    machine_arn = workflow.machine(single_state(state, **machine_fields))
    heard = Events(
        emulator,
        {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "status": ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"],
                "stateMachineArn": [machine_arn],
            },
        },
    )
    execution_arn = workflow.states.start_execution(stateMachineArn=machine_arn, name="one", input="{}")["executionArn"]
    if status == "ABORTED":
        workflow.states.stop_execution(executionArn=execution_arn)

    event = heard.next()

    assert event is not None
    assert event["resources"] == [execution_arn]
    detail = event["detail"]
    assert {key: detail[key] for key in ("executionArn", "stateMachineArn", "name", "status")} == {
        "executionArn": execution_arn,
        "stateMachineArn": machine_arn,
        "name": "one",
        "status": status,
    }
    assert detail["stopDate"] >= detail["startDate"]
    if status in ("ABORTED", "TIMED_OUT"):  # these end while a task goes on, which could end the execution again
        assert heard.next(1) is None


def with_rule(emulator: Emulator, function: str) -> str:
    """Let a rule of its own call a function; return the source of the events that it takes."""
    source = f"test.{uuid.uuid4().hex}"
    events, lambda_ = emulator.client("events"), emulator.client("lambda")
    rule = events.put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    lambda_.add_permission(
        FunctionName=function,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule["RuleArn"],
    )
    arn = lambda_.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    transformer = {"InputPathsMap": {"word": "$.detail.word"}, "InputTemplate": '{"said": {"word": <word>}}'}
    events.put_targets(Rule=source, Targets=[{"Id": "1", "Arn": arn, "InputTransformer": transformer}])
    return source


def send(emulator: Emulator, source: str, word: str) -> None:
    entry = {"Source": source, "DetailType": "word", "Detail": json.dumps({"word": word})}
    assert emulator.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_a_function_that_fails_on_an_event_is_called_again(
    emulator: Emulator, workflow: Workflow, tmp_path: Path
) -> None:
    function = workflow.function(
        f"""
        import pathlib
        def handler(event, context):
            first = pathlib.Path({str(tmp_path)!r}, "first")
            if not first.exists():
                first.touch()
                raise OSError("not yet")
            pathlib.Path({str(tmp_path)!r}, event["said"]["word"]).touch()
        """
    )
    send(emulator, with_rule(emulator, function), "hello")
    until((tmp_path / "hello").exists)


def test_an_event_on_which_a_function_fails_again_and_again_is_kept(emulator: Emulator, workflow: Workflow) -> None:
    function = workflow.function("def handler(event, context):\n    raise OSError('never')\n")
    sqs, lambda_ = emulator.client("sqs"), emulator.client("lambda")
    url = sqs.create_queue(QueueName=f"kept-{uuid.uuid4().hex}")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    lambda_.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue_arn}},
    )
    send(emulator, with_rule(emulator, function), "hello")
    kept = json.loads(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"])
    assert kept["requestPayload"] == {"said": {"word": "hello"}}
    assert kept["responsePayload"]["errorMessage"] == "never"


def test_an_event_for_a_function_that_is_throttled_waits_and_counts_as_no_attempt(
    emulator: Emulator, workflow: Workflow, tmp_path: Path
) -> None:
    function = workflow.function(
        f"""
        import pathlib, time
        def handler(event, context):
            directory = pathlib.Path({str(tmp_path)!r})
            directory.joinpath(event["said"]["word"]).touch()
            while not directory.joinpath("free").exists():
                time.sleep(0.05)
        """
    )
    lambda_ = emulator.client("lambda")
    lambda_.update_function_configuration(FunctionName=function, Timeout=60)
    lambda_.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    source = with_rule(emulator, function)
    send(emulator, source, "first")
    until((tmp_path / "first").exists)
    send(emulator, source, "second")
    until(lambda: throttles(emulator, function) > 0)

    (tmp_path / "free").touch()

    until((tmp_path / "second").exists)


def throttles(emulator: Emulator, function: str) -> float:
    """Count the calls of a function that were throttled."""
    now = datetime.now(UTC)
    points = emulator.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Throttles",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))
