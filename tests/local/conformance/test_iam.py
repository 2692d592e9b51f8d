"""Policies of the embedded AWS: what decides about a call, beyond the name of its action."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gaitway.local.launcher import LocalSession
from tests.local.conformance.batch_world import batch_world
from tests.local.conformance.workflow import ROLE_ARN, Workflow, single_state
from tests.local.emulator import Emulator
from tests.local.roles import AssumedRole, denied

Json = dict[str, Any]

_ACCOUNT = "arn:aws:iam::000000000000:root"


Caller = Callable[..., Any]


@pytest.fixture
def caller(emulator: Emulator) -> Caller:
    """Makes clients of a new role that may do what these statements allow."""

    def client(service: str, *statements: Json) -> Any:
        return AssumedRole(emulator.endpoint_url, role(emulator, *statements)).client(service)

    return client


def role(emulator: Emulator, *statements: Json) -> str:
    """Make a role, and return its ARN."""
    iam = emulator.client("iam")
    name = f"role-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": _ACCOUNT}}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    allowed = [{"Effect": "Allow"} | statement for statement in statements]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Statement": allowed}))
    return str(made["Role"]["Arn"])


def test_a_forged_signature_is_refused(emulator: Emulator) -> None:
    user = emulator.client("iam").create_user(UserName=f"user-{uuid.uuid4().hex[:8]}")["User"]["UserName"]
    key = emulator.client("iam").create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    s3 = LocalSession(emulator.endpoint_url).client("s3", aws_access_key_id=key, aws_secret_access_key="guessed")
    with pytest.raises(ClientError, match="signature"):
        s3.list_buckets()


def test_a_run_tables_items_are_told_apart_by_their_partition(emulator: Emulator, caller: Caller) -> None:
    table = f"table-{uuid.uuid4().hex[:8]}"
    emulator.client("dynamodb").create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "run_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "run_id", "AttributeType": "S"}],
    )
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}
    dynamodb = caller("dynamodb", {"Action": "dynamodb:*", "Resource": "*", "Condition": own})
    mine, other = {"run_id": {"S": "mine"}}, {"run_id": {"S": "other"}}

    def put(*items: Json) -> list[Json]:
        return [{"Put": {"TableName": table, "Item": item}} for item in items]

    def query(run_id: str) -> Json:
        found: Json = dynamodb.query(
            TableName=table, KeyConditionExpression="run_id = :id", ExpressionAttributeValues={":id": {"S": run_id}}
        )
        return found

    dynamodb.put_item(TableName=table, Item=mine)
    dynamodb.transact_write_items(TransactItems=put(mine))
    assert dynamodb.get_item(TableName=table, Key=mine)["Item"] == mine
    assert query("mine")["Count"] == 1
    for attempt in (
        lambda: dynamodb.put_item(TableName=table, Item=other),
        lambda: dynamodb.get_item(TableName=table, Key=other),
        lambda: dynamodb.delete_item(TableName=table, Key=other),
        lambda: dynamodb.transact_write_items(TransactItems=put(mine, other)),
        lambda: dynamodb.batch_get_item(RequestItems={table: {"Keys": [mine, other]}}),
        lambda: dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": other}}]}),
        lambda: query("other"),
    ):
        with denied():
            attempt()


def test_a_job_is_submitted_by_whom_both_queue_and_definition_allow(emulator: Emulator, caller: Caller) -> None:
    with batch_world(emulator, f"queue-{uuid.uuid4().hex[:8]}", vcpus=2) as world:
        definition_arn = world.define(["true"])
        (queue,) = world.batch.describe_job_queues(jobQueues=[world.job_queue])["jobQueues"]
        queue_arn = queue["jobQueueArn"]

        def submit(*resources: str) -> str:
            client = caller("batch", {"Action": "batch:SubmitJob", "Resource": [*resources]})
            job = client.submit_job(jobName="job", jobQueue=world.job_queue, jobDefinition=definition_arn)
            return str(job["jobId"])

        world.wait_for_end(submit(queue_arn, definition_arn))
        for only in (queue_arn, definition_arn):
            with denied():
                submit(only)


def test_a_token_is_answered_by_whom_its_machine_allows(emulator: Emulator, caller: Caller) -> None:
    workflow = Workflow(emulator)
    execution = workflow.start(single_state(workflow.callback_task()))
    token = workflow.next_token()
    machine = execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]

    def states_of(resource: str) -> Any:
        return caller("stepfunctions", {"Action": "states:SendTask*", "Resource": resource})

    with denied():
        states_of(f"{machine}x").send_task_success(taskToken=token, output="{}")
    states_of(machine).send_task_success(taskToken=token, output="{}")
    assert workflow.ended(execution)["status"] == "SUCCEEDED"


def test_a_machine_calls_what_its_role_allows(emulator: Emulator) -> None:
    workflow = Workflow(emulator)
    function = workflow.function("def handler(event, context): return 'called'")
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": function}}
    parallel = {"Type": "Parallel", "Branches": [{"StartAt": "Task", "States": {"Task": task | {"End": True}}}]}

    def run(role_arn: str, state: Json) -> Json:
        machine = workflow.states.create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(single_state(state)), roleArn=role_arn
        )
        started = workflow.states.start_execution(stateMachineArn=machine["stateMachineArn"])
        return workflow.ended(started["executionArn"])

    other = role(emulator, {"Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:*:x"})
    assert run(ROLE_ARN, task)["status"] == "SUCCEEDED"
    for state in (task, parallel):
        ended = run(other, state)
        assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")
        assert "is not authorized to perform: lambda:InvokeFunction" in ended["cause"]


def test_metrics_are_told_apart_by_their_namespace(emulator: Emulator, caller: Caller) -> None:
    ours = {"StringEquals": {"cloudwatch:namespace": "Ours"}}
    cloudwatch = caller("cloudwatch", {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": ours})
    data = [{"MetricName": "Runs", "Value": 1.0}]
    cloudwatch.put_metric_data(Namespace="Ours", MetricData=data)
    with denied():
        cloudwatch.put_metric_data(Namespace="Others", MetricData=data)


def test_a_session_policy_narrows_a_role_and_a_bucket_that_demands_tls_is_reached(
    emulator: Emulator,
) -> None:
    s3 = emulator.client("s3")
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    clear_text = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [clear_text]}))
    role_arn = role(emulator, {"Action": "s3:*", "Resource": "*"})
    narrow = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/mine/*"}

    policy = json.dumps({"Version": "2012-10-17", "Statement": [narrow]})
    narrowed = AssumedRole(emulator.endpoint_url, role_arn, Policy=policy).client("s3")

    narrowed.put_object(Bucket=bucket, Key="mine/file", Body=b"x")
    with denied():
        narrowed.put_object(Bucket=bucket, Key="others/file", Body=b"x")
