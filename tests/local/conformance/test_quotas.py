"""Sizes, numbers and names that the embedded AWS refuses as AWS does."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from gaitway.local.extensions.batch.errors import ClientError as BatchError
from gaitway.local.extensions.batch.resources import Resources
from gaitway.local.extensions.batch.submission import SHORT_TIMEOUTS_VARIABLE, new_job
from tests.local.conformance.batch_world import BatchWorld, batch_world
from tests.local.conformance.test_cloudformation_refusals import Stacks
from tests.local.conformance.workflow import Workflow, create_any_role, single_state
from tests.local.emulator import Emulator


@pytest.fixture(scope="module")
def world(emulator: Emulator) -> Iterator[BatchWorld]:
    with batch_world(emulator, "queue-of-quotas", vcpus=1) as world:
        yield world


def variables(kib: float) -> list[dict[str, str]]:
    return [{"name": "LARGE", "value": "x" * int(kib * 1024)}]


def test_a_submission_has_at_most_30_kib(world: BatchWorld) -> None:
    """docs.aws.amazon.com/batch/latest/userguide/service_limits.html"""
    definition = world.define(["true"])
    with pytest.raises(ClientError, match="Job size must be less than 30 KiB, got 31 KiB"):
        world.submit(definition, containerOverrides={"environment": variables(30)})


def test_a_job_whose_overrides_are_long_does_not_start(world: BatchWorld) -> None:
    """docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html, with the reason that Batch shows"""
    job = world.submit(world.define(["true"]), containerOverrides={"environment": variables(9)})
    described = world.wait_for_end(job)
    assert described["status"] == "FAILED"
    assert described["statusReason"] == "Container Overrides length must be at most 8192"


def test_a_job_definition_has_at_most_24_kib(world: BatchWorld) -> None:
    """docs.aws.amazon.com/batch/latest/userguide/service_limits.html"""
    with pytest.raises(ClientError, match="Job definition size must be less than 24 KiB"):
        world.define(["true"], containerProperties={"environment": variables(24)})


@pytest.mark.parametrize("name", ["", "-first", "a b", "x" * 129])
def test_names_of_jobs_are_plain(world: BatchWorld, name: str) -> None:
    """docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html"""
    with pytest.raises(ClientError, match="jobName should match"):
        world.submit(world.define(["true"]), jobName=name)


def test_variables_of_batch_are_its_own(world: BatchWorld) -> None:
    """docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html"""
    own = [{"name": "AWS_BATCH_JOB_ATTEMPT", "value": "7"}]
    with pytest.raises(ClientError, match="cannot start with AWS_BATCH"):
        world.define(["true"], containerProperties={"environment": own})
    with pytest.raises(ClientError, match="cannot start with AWS_BATCH"):
        world.submit(world.define(["true"]), containerOverrides={"environment": own})


def test_a_queue_has_at_most_three_compute_environments(world: BatchWorld) -> None:
    """docs.aws.amazon.com/batch/latest/userguide/service_limits.html"""
    order = [{"order": number, "computeEnvironment": world.compute_environment} for number in range(4)]
    with pytest.raises(ClientError, match="at most 3 compute environments"):
        world.batch.update_job_queue(jobQueue=world.job_queue, computeEnvironmentOrder=order)


def test_an_account_has_at_most_50_queues_and_50_compute_environments() -> None:
    """docs.aws.amazon.com/batch/latest/userguide/service_limits.html; a whole deployment has ten of both."""
    resources = Resources()
    for number in range(50):
        resources.create_job_queue({"jobQueueName": f"queue-{number}"})
        resources.create_compute_environment({"computeEnvironmentName": f"environment-{number}"})
    with pytest.raises(BatchError, match="50"):
        resources.create_job_queue({"jobQueueName": "one-more"})
    with pytest.raises(BatchError, match="50"):
        resources.create_compute_environment({"computeEnvironmentName": "one-more"})


def test_a_timeout_is_a_minute_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html; other tests do not wait for that long."""
    monkeypatch.delenv(SHORT_TIMEOUTS_VARIABLE)
    resources = Resources()
    resources.create_job_queue({"jobQueueName": "queue"})
    resources.register_job_definition(
        {"jobDefinitionName": "job", "containerProperties": {"image": "gaitway/shell:local"}}
    )
    request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "job"}
    assert new_job(request | {"timeout": {"attemptDurationSeconds": 60}}, resources).timeout
    with pytest.raises(BatchError, match="attemptDurationSeconds must be at least 60, got 59"):
        new_job(request | {"timeout": {"attemptDurationSeconds": 59}}, resources)


@pytest.fixture
def machine(emulator: Emulator) -> str:
    workflow = Workflow(emulator)
    create_any_role(emulator.client("iam"))
    definition = single_state({"Type": "Pass", "End": True})
    execution: str = workflow.start(definition)
    arn: str = workflow.states.describe_execution(executionArn=execution)["stateMachineArn"]
    return arn


@pytest.mark.parametrize("name", ["x" * 81, "a b", "a/b", "a:b"])
def test_names_of_executions_are_plain(emulator: Emulator, machine: str, name: str) -> None:
    """docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    with pytest.raises(ClientError, match="InvalidName"):
        emulator.client("stepfunctions").start_execution(stateMachineArn=machine, name=name)


def test_an_executions_input_has_at_most_256_kib(emulator: Emulator, machine: str) -> None:
    """docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
    with pytest.raises(ClientError, match="less than or equal to 262144"):
        emulator.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({"large": "x" * 262_144})
        )


def test_an_executions_name_is_not_used_again(emulator: Emulator, machine: str) -> None:
    """docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: for 90 days"""
    states, name = emulator.client("stepfunctions"), uuid.uuid4().hex
    states.start_execution(stateMachineArn=machine, name=name)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=machine, name=name, input='{"other": 1}')


def test_a_functions_result_has_at_most_256_kib(emulator: Emulator) -> None:
    """docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html: States.ALL does not catch it"""
    workflow = Workflow(emulator)
    function = workflow.function("def handler(event, context): return 'x' * 262_144")
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": function}}
    described = workflow.run(single_state(task | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]}))
    assert (described["status"], described["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_states_output_has_at_most_256_kib(emulator: Emulator) -> None:
    """docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html: here two halves that are too much"""
    half = "x" * 140_000
    add = {"Type": "Pass", "Result": half, "ResultPath": "$.more", "End": True}
    described = Workflow(emulator).run(single_state(add), {"first": half})
    assert (described["status"], described["error"]) == ("FAILED", "States.DataLimitExceeded")
    assert "'Only'" in described["cause"]


def test_a_history_has_at_most_25000_events(emulator: Emulator) -> None:
    """docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html"""
    workflow = Workflow(emulator)
    create_any_role(emulator.client("iam"))
    definition = {"StartAt": "Again", "States": {"Again": {"Type": "Pass", "Next": "Again"}}}
    execution = workflow.start(definition)
    described = workflow.ended(execution)
    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert described["cause"] == "The execution reached the maximum number of history events (25000)."


@pytest.mark.parametrize("entries", [1, 2])
def test_events_of_a_request_have_less_than_256_kib(emulator: Emulator, entries: int) -> None:
    """docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html"""
    events = emulator.client("events")

    def put(total: int) -> Any:
        detail = '"' + "x" * (total // entries - len("source" + "type") - 2) + '"'
        return events.put_events(Entries=[{"Source": "source", "DetailType": "type", "Detail": detail}] * entries)

    assert put(256 * 1024 - entries)["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match=r"ValidationException.*Total size of the entries in the request is over"):
        put(256 * 1024)


def test_a_key_has_at_most_1024_bytes(emulator: Emulator) -> None:
    """docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: of UTF-8, whatever its characters"""
    s3, bucket = emulator.client("s3"), f"keys-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="ä" * 512)
    with pytest.raises(ClientError, match=r"KeyTooLongError.*Your key is too long"):
        s3.put_object(Bucket=bucket, Key="ä" * 512 + "x")


def test_an_item_has_at_most_400_kib(emulator: Emulator) -> None:
    """docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: with its attributes' names"""
    dynamodb, table = emulator.client("dynamodb"), f"items-{uuid.uuid4().hex}"
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    room = 400 * 1024 - len("id" + "1" + "text")
    dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}, "text": {"S": "x" * room}})
    with pytest.raises(ClientError, match=r"ValidationException.*Item size has exceeded the maximum allowed size"):
        dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}, "text": {"S": "x" * (room + 1)}})
    with pytest.raises(ClientError, match=r"ValidationException.*Item size to update has exceeded"):
        dynamodb.update_item(
            TableName=table,
            Key={"id": {"S": "1"}},
            UpdateExpression="SET more = :more",
            ExpressionAttributeValues={":more": {"S": "x"}},
        )


@pytest.mark.parametrize("name", ["robots.dev", "robots/dev", "a b", "x" * 256])
def test_names_of_dashboards_are_plain(emulator: Emulator, name: str) -> None:
    """docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html"""
    with pytest.raises(ClientError, match="InvalidParameterInput"):
        emulator.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')
    dashboard = {"DashboardName": name, "DashboardBody": '{"widgets": []}'}
    stack = f"stack-{uuid.uuid4().hex[:8]}"
    with ExitStack() as closing:
        stacks = Stacks(emulator, closing)
        with pytest.raises(WaiterError):
            stacks.create(
                {"Resources": {"Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Properties": dashboard}}}, stack
            )
        assert "DashboardName" in stacks.refusal(stack)


def test_an_invocations_payload_has_at_most_6_mib(emulator: Emulator) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    with pytest.raises(ClientError, match="smaller than 6291456 bytes"):
        emulator.client("lambda").invoke(FunctionName="any", Payload=json.dumps("x" * 6_291_456))


def test_a_functions_variables_have_at_most_4_kib(emulator: Emulator) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    create_any_role(emulator.client("iam"))
    properties: dict[str, Any] = {
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/any",
        "Code": {"ZipFile": "def handler(event, context): pass"},
        "Environment": {"Variables": {"LARGE": "x" * 4096}},
    }
    name = f"stack-{uuid.uuid4().hex[:8]}"
    with ExitStack() as closing:
        stacks = Stacks(emulator, closing)
        with pytest.raises(WaiterError):
            stacks.create(
                {"Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}}, name
            )
        assert "exceeded the 4KB limit" in stacks.refusal(name)
