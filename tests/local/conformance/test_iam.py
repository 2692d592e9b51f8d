"""Policies of the embedded AWS: what decides about a call, beyond the name of its action."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gaitway.contracts.model import S3Uri
from gaitway.local.launcher import LocalSession
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.session import _session, run_policies
from tests.local.conformance.batch_world import batch_world
from tests.local.conformance.workflow import ROLE_ARN, Workflow, single_state
from tests.local.emulator import Emulator
from tests.local.roles import AssumedRole, denied
from tests.unit.runner.host.test_session import record, token_of

NAMESPACE = DEFAULT_NAMES.metrics_namespace

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


_KEY = "arn:aws:kms:us-east-1:000000000000:key/0b0e5f2c-1d2e-4f3a-9b7c-123456789abc"
_VIA_S3 = {"StringLike": {"kms:ViaService": "s3.*"}}


def _of_object(path: str) -> Json:
    """What S3 tells KMS of an object: docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html."""
    return {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{path}"}}


def encrypted_bucket(emulator: Emulator) -> str:
    """Make a bucket that encrypts with the key."""
    s3, bucket = emulator.client("s3"), f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": _KEY}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]},
    )
    return bucket


def upload_in_parts(s3: Any, where: Json) -> None:
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})


def test_a_bucket_that_encrypts_with_a_key_is_used_by_whom_the_key_allows(emulator: Emulator, caller: Caller) -> None:
    # docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    where = {"Bucket": encrypted_bucket(emulator), "Key": "file"}

    def allowed(*actions: str, key: str = _KEY, condition: Json = _VIA_S3) -> Any:
        statements = [{"Action": [*actions], "Resource": key, "Condition": condition}] if actions else []
        return caller("s3", {"Action": "s3:*", "Resource": "*"}, *statements)

    allowed("kms:GenerateDataKey").put_object(**where, Body=b"x")
    allowed("kms:Decrypt").get_object(**where)
    allowed("kms:Decrypt", condition=_of_object(f"{where['Bucket']}/{where['Key']}")).get_object(**where)
    upload_in_parts(allowed("kms:GenerateDataKey", "kms:Decrypt"), where)
    attempts: list[Callable[[], object]] = [
        lambda: allowed().put_object(**where, Body=b"x"),
        lambda: allowed("kms:Decrypt").put_object(**where, Body=b"x"),
        lambda: allowed("kms:GenerateDataKey").get_object(**where),
        lambda: allowed("kms:GenerateDataKey").create_multipart_upload(**where),
        lambda: allowed("kms:Decrypt", key=_KEY.replace("0b0e", "ffff")).get_object(**where),
        lambda: allowed("kms:Decrypt", condition={"StringLike": {"kms:ViaService": "ec2.*"}}).get_object(**where),
        lambda: allowed("kms:Decrypt", condition=_of_object("another")).get_object(**where),
    ]
    for attempt in attempts:
        with denied():
            attempt()


def test_a_runs_session_uses_the_keys_that_its_role_names(emulator: Emulator) -> None:
    bucket = encrypted_bucket(emulator)
    run = record(output_files=S3Uri(bucket, "run/"))
    session_policy = next(run_policies(run, "aws", NAMESPACE))
    objects = {"Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], "Resource": "*"}
    keys = {"Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": _KEY, "Condition": _VIA_S3}

    def s3_of(*statements: Json) -> Any:
        return AssumedRole(emulator.endpoint_url, role(emulator, *statements), Policy=session_policy).client("s3")

    upload_in_parts(s3_of(objects, keys), {"Bucket": bucket, "Key": "run/file"})
    s3_of(objects, keys).get_object(Bucket=bucket, Key="run/file")
    with denied():
        s3_of(objects).get_object(Bucket=bucket, Key="run/file")


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


def test_a_session_policy_may_be_shorter_than_2048_characters_and_too_large(emulator: Emulator, caller: Caller) -> None:
    """docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, error PackedPolicyTooLarge."""
    arn = role(emulator, {"Action": "s3:GetObject", "Resource": "*"})
    names = "".join(uuid.uuid4().hex for _ in range(50))

    def assume(characters: int) -> AssumedRole:
        own = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::b/{names[:characters]}"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [own]})
        assert len(policy) <= 2048
        return AssumedRole(emulator.endpoint_url, arn, Policy=policy)

    assume(200)
    with pytest.raises(ClientError, match=r"Packed policy consumes \d+% of allotted space") as refused:
        assume(1500)
    assert refused.value.response["Error"]["Code"] == "PackedPolicyTooLarge"


def test_the_session_of_a_run_with_long_names_has_a_policy_that_fits(emulator: Emulator) -> None:
    arn = role(emulator, {"Action": "s3:PutObject", "Resource": "*"})
    output, policy = ("".join(uuid.uuid4().hex for _ in range(28)) for _ in range(2))
    run = record({"policy": S3Uri("bucket", f"{policy}.pt")}, output_files=S3Uri("bucket", f"{output}/{uuid.uuid4()}/"))
    with pytest.raises(ClientError, match="PackedPolicyTooLarge"):
        AssumedRole(emulator.endpoint_url, arn, Policy=next(run_policies(run, "aws", NAMESPACE)))

    session = _session(emulator.client("sts"), arn, "run-1", lambda: run_policies(run, "aws", NAMESPACE))

    assert token_of(session)


def test_a_denied_call_is_in_cloudtrails_event_history_unless_it_is_a_data_event(emulator: Emulator) -> None:
    # docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    role_arn = role(emulator, {"Action": "s3:ListAllMyBuckets", "Resource": "*"})
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    emulator.client("s3").create_bucket(Bucket=bucket)
    session = AssumedRole(emulator.endpoint_url, role_arn)
    with denied():
        session.client("batch").describe_jobs(jobs=["any"])
    with denied():
        session.client("s3").get_bucket_policy(Bucket=bucket)
    # Reading an object is a data event, which no history has.
    with denied():
        session.client("s3").get_object(Bucket=bucket, Key="any")

    recorded = emulator.client("cloudtrail").lookup_events()["Events"]
    events = [json.loads(event["CloudTrailEvent"]) for event in recorded]
    ours = [event for event in events if event["userIdentity"]["arn"].endswith(f"{role_arn.rpartition('/')[2]}/test")]
    assert [(event["eventSource"], event["eventName"], event["errorCode"]) for event in ours] == [
        ("s3.amazonaws.com", "GetBucketPolicy", "AccessDenied"),
        ("batch.amazonaws.com", "DescribeJobs", "AccessDeniedException"),
    ]
    assert ours[0]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == role_arn


def test_jobs_are_told_apart_by_their_tags(emulator: Emulator, caller: Caller) -> None:
    # docs.aws.amazon.com/batch/latest/userguide/batch-supported-iam-actions-resources.html
    def tagged(kind: str, *actions: str) -> Json:
        return {"Action": [*actions], "Resource": "*", "Condition": {"StringEquals": {f"aws:{kind}/Owner": "me"}}}

    submit = {"Action": "batch:SubmitJob", "Resource": "*"}
    with batch_world(emulator, f"queue-{uuid.uuid4().hex[:8]}", vcpus=0) as world:
        job: Json = {"jobName": "job", "jobQueue": world.job_queue, "jobDefinition": world.define(["true"])}
        # Tagging is a permission of its own.
        with denied():
            caller("batch", submit).submit_job(**job, tags={"Owner": "me"})
        client = caller("batch", submit, tagged("RequestTag", "batch:TagResource"))
        with denied():
            client.submit_job(**job, tags={"Owner": "somebody"})
        mine = client.submit_job(**job, tags={"Owner": "me"})["jobId"]
        nobodys = client.submit_job(**job)["jobId"]

        ending = caller("batch", tagged("ResourceTag", "batch:TerminateJob", "batch:CancelJob"))
        for end in (ending.terminate_job, ending.cancel_job):
            with denied():
                end(jobId=nobodys, reason="not mine")
        ending.terminate_job(jobId=mine, reason="mine")
        world.batch.terminate_job(jobId=nobodys, reason="the test is over")
