"""EventBridge rules that fire on a schedule."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.local.extensions.schedules import SPEEDUP_VARIABLE
from gaitway.local.server_process import start_server, stop_server
from tests.local.conformance.workflow import Workflow, single_state, until
from tests.local.emulator import Emulator


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose minutes have one second."""
    state_directory = tmp_path_factory.mktemp("hasty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SPEEDUP_VARIABLE, "60")
        record = start_server(state_directory)
    try:
        yield Emulator(record.endpoint_url, state_directory)
    finally:
        stop_server(state_directory)


def schedule(emulator: Emulator, name: str, target_arn: str, state: str = "ENABLED") -> None:
    events = emulator.client("events")
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)", State=state)
    events.put_targets(Rule=name, Targets=[{"Id": "target", "Arn": target_arn}])


def queue(emulator: Emulator, name: str) -> tuple[str, str]:
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_a_rate_fires_again_and_again_and_only_while_enabled(hasty: Emulator) -> None:
    url, arn = queue(hasty, "ticks")
    disabled_url, disabled_arn = queue(hasty, "silence")
    schedule(hasty, "off", disabled_arn, state="DISABLED")
    schedule(hasty, "on", arn)
    sqs = hasty.client("sqs")

    def next_event(queue_url: str, seconds: int) -> dict[str, object] | None:
        messages = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=seconds).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(messages[0]["Body"]) if messages else None

    for _ in range(2):
        event = next_event(url, 15)
        assert event
        assert event["detail-type"] == "Scheduled Event"
        assert event["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/on"]
    # The disabled rule was made before the one that has fired twice.
    assert next_event(disabled_url, 0) is None

    hasty.client("events").disable_rule(Name="on")
    while next_event(url, 0):
        pass
    assert next_event(url, 3) is None


def test_a_schedule_invokes_a_function(hasty: Emulator, tmp_path: Path) -> None:
    workflow = Workflow(hasty)
    name = workflow.function(
        f"""
        import pathlib
        def handler(event, context):
            pathlib.Path({str(tmp_path)!r}, event["source"]).touch()
        """
    )
    hasty.client("lambda").add_permission(
        FunctionName=name, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
    )
    schedule(hasty, "function", f"arn:aws:lambda:us-east-1:000000000000:function:{name}")
    until((tmp_path / "aws.events").exists)


def test_a_schedule_starts_an_execution(hasty: Emulator) -> None:
    workflow = Workflow(hasty)
    machine_arn = workflow.machine(single_state({"Type": "Pass"}))
    schedule(hasty, "machine", machine_arn)
    until(lambda: bool(workflow.states.list_executions(stateMachineArn=machine_arn)["executions"]))


def test_a_cron_expression_is_checked(hasty: Emulator) -> None:
    events = hasty.client("events")
    events.put_rule(Name="nightly", ScheduleExpression="cron(0 3 * * ? *)")
    with pytest.raises(events.exceptions.ClientError, match="ScheduleExpression is not valid"):
        events.put_rule(Name="wrong", ScheduleExpression="cron(0 3 * * * *)")
