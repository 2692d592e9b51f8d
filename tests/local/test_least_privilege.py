"""Who may do what, proven with the roles' own credentials on the embedded AWS, which enforces their policies."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaitway.aws.run_table import RUN, TOKENS
from gaitway.client.runs import StartedRun
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import parse_request
from gaitway.local.launcher import LocalAws
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.session import record_policy, run_policies
from tests.local.conformance.batch_world import BatchWorld, batch_world
from tests.local.conformance.workflow import Workflow, single_state
from tests.local.deployed import TINY, ControlPlane
from tests.local.emulator import Emulator
from tests.local.roles import AssumedRole, denied

pytestmark = pytest.mark.slow

NAMESPACE = DEFAULT_NAMES.metrics_namespace

FUNCTIONS = (
    "vams-gaitway-launch",
    "gaitway-construct-run",
    "gaitway-submit-job",
    "gaitway-collect-results",
    "gaitway-handle-failure",
    "gaitway-heartbeat",
    "gaitway-job-state",
    "gaitway-tell-caller",
)
MACHINES = ("pipeline", "workflow")
ROLES = (*FUNCTIONS, *MACHINES, "job", "run")


class World:
    """The deployed stacks, what they did, and what belongs to others."""

    def __init__(self, local_aws: LocalAws, plane: ControlPlane, others: BatchWorld) -> None:
        self.plane = plane
        self.others = others
        self.table = plane.deployment.run_table_name
        self._endpoint_url = local_aws.endpoint_url
        self._roles: dict[str, AssumedRole] = {}
        session: Any = local_aws.session()
        self.definition = self._definition(session.client("batch"))
        self._role_arns = {
            name: session.client("lambda").get_function_configuration(FunctionName=name)["Role"] for name in FUNCTIONS
        } | {
            name: plane.stepfunctions.describe_state_machine(stateMachineArn=arn)["roleArn"]
            for name, arn in zip(MACHINES, (plane.deployment.pipeline_arn, plane.deployment.workflow_arn), strict=True)
        }
        self._role_arns["job"] = self.definition["containerProperties"]["jobRoleArn"]
        variables = self.definition["containerProperties"]["environment"]
        (self.run_access,) = [item["value"] for item in variables if item["name"] == "GAITWAY_RUN_ACCESS_ROLE"]
        # Of somebody else: a bucket, and an execution that waits.
        emulator = others.emulator
        self.bucket = f"others-{uuid.uuid4().hex[:8]}"
        emulator.client("s3").create_bucket(Bucket=self.bucket)
        emulator.client("s3").put_object(Bucket=self.bucket, Key="file", Body=b"x")
        workflow = Workflow(emulator)
        self.execution = workflow.start(single_state(workflow.callback_task()))
        self.machine = self.execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        self.token = workflow.next_token()

    def role(self, name: str, **limits: Any) -> AssumedRole:
        """Act as one of the roles."""
        if name == "run":
            return AssumedRole(self._endpoint_url, self.run_access, self.role("job"), **limits)
        if name not in self._roles:
            self._roles[name] = AssumedRole(self._endpoint_url, self._role_arns[name])
        return self._roles[name]

    def _definition(self, batch: Any) -> dict[str, Any]:
        (found,) = [
            definition
            for definition in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
            if definition["type"] == "container" and definition["parameters"] == {"run_id": ""}
        ]
        return dict(found)


@pytest.fixture(scope="module")
def world(local_aws: LocalAws, local_state: Path, plane: ControlPlane) -> Iterator[World]:
    emulator = Emulator(local_aws.endpoint_url, local_state)
    with batch_world(emulator, f"others-{uuid.uuid4().hex[:8]}", vcpus=1) as others:
        world = World(local_aws, plane, others)
        yield world
        plane.stepfunctions.stop_execution(executionArn=world.execution)


@pytest.fixture(scope="module")
def runs(plane: ControlPlane) -> tuple[StartedRun, StartedRun]:
    """A training and the evaluation of what it trained, both through roles that may do no more than they need."""
    training = plane.runs.start(parse_request({"trainingConfig": TINY}))
    assert plane.ended(training.execution_arn)["status"] == "SUCCEEDED"
    evaluate = {"mode": "evaluate", "task": TINY["task"], "numEnvs": 4, "numEpisodes": 4}
    evaluation = plane.runs.start(
        parse_request({"trainingConfig": evaluate}), input_file=training.output_files / "metrics.csv"
    )
    assert plane.ended(evaluation.execution_arn)["status"] == "SUCCEEDED"
    return training, evaluation


def test_no_function_is_left_out(local_aws: LocalAws) -> None:
    session: Any = local_aws.session()
    deployed = {function["FunctionName"] for function in session.client("lambda").list_functions()["Functions"]}
    assert {name for name in deployed if "gaitway" in name} == set(FUNCTIONS)


Attempt = Callable[[AssumedRole, World], object]

FORBIDDEN_TO_ALL: dict[str, Attempt] = {
    "delete an object": lambda role, world: role.client("s3").delete_object(Bucket=world.plane.bucket, Key="any"),
    "delete the bucket": lambda role, world: role.client("s3").delete_bucket(Bucket=world.plane.bucket),
    "change the bucket's policy": lambda role, world: role.client("s3").delete_bucket_policy(Bucket=world.plane.bucket),
    "read another bucket": lambda role, world: role.client("s3").get_object(Bucket=world.bucket, Key="file"),
    "write to another bucket": lambda role, world: role.client("s3").put_object(
        Bucket=world.bucket, Key="mine", Body=b"x"
    ),
    "list another bucket": lambda role, world: role.client("s3").list_objects_v2(Bucket=world.bucket),
    "delete a record": lambda role, world: role.client("dynamodb").delete_item(
        TableName=world.table, Key={"run_id": {"S": "any"}, "item": {"S": RUN}}
    ),
    "read all records": lambda role, world: role.client("dynamodb").scan(TableName=world.table),
    "delete the table": lambda role, world: role.client("dynamodb").delete_table(TableName=world.table),
    "start another machine": lambda role, world: role.client("stepfunctions").start_execution(
        stateMachineArn=world.machine
    ),
    "stop another machine's execution": lambda role, world: role.client("stepfunctions").stop_execution(
        executionArn=world.execution
    ),
    "read an execution's history": lambda role, world: role.client("stepfunctions").get_execution_history(
        executionArn=world.execution
    ),
    "delete a machine": lambda role, world: role.client("stepfunctions").delete_state_machine(
        stateMachineArn=world.plane.deployment.pipeline_arn
    ),
    "submit to another queue": lambda role, world: role.client("batch").submit_job(
        jobName="any", jobQueue=world.others.job_queue, jobDefinition=world.definition["jobDefinitionArn"]
    ),
    "submit another job": lambda role, world: role.client("batch").submit_job(
        jobName="any", jobQueue=world.plane.deployment.job_queue_arn, jobDefinition=world.others.define(["true"])
    ),
    "define a job": lambda role, world: role.client("batch").register_job_definition(
        jobDefinitionName="any", type="container"
    ),
    "change a function": lambda role, world: role.client("lambda").update_function_configuration(
        FunctionName=FUNCTIONS[0], Timeout=1
    ),
    "read a function's environment": lambda role, world: role.client("lambda").get_function_configuration(
        FunctionName=FUNCTIONS[0]
    ),
    "delete logs": lambda role, world: role.client("logs").delete_log_group(logGroupName="/gaitway/job"),
    "read logs": lambda role, world: role.client("logs").filter_log_events(logGroupName="/gaitway/job"),
    "gain rights": lambda role, world: role.client("iam").put_role_policy(
        RoleName=world.run_access.rpartition("/")[2], PolicyName="more", PolicyDocument="{}"
    ),
    "make keys": lambda role, world: role.client("iam").create_user(UserName="any"),
    "put a metric of others": lambda role, world: role.client("cloudwatch").put_metric_data(
        Namespace="Others", MetricData=[{"MetricName": "any", "Value": 1.0}]
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_no_role_deletes_or_touches_what_is_not_its_own(world: World, name: str) -> None:
    role = world.role(name)
    for what, attempt in FORBIDDEN_TO_ALL.items():
        try:
            with denied():
                attempt(role, world)
        except BaseException as error:
            raise AssertionError(f"{name} may {what}") from error


ONLY: dict[str, tuple[set[str], Attempt]] = {
    "submit a job": (
        {"gaitway-submit-job"},
        lambda role, world: role.client("batch").submit_job(
            jobName="any",
            jobQueue=world.plane.deployment.job_queue_arn,
            jobDefinition=world.definition["jobDefinitionArn"],
            # Refused in the end, but not by a policy.
            arrayProperties={"size": 2},
        ),
    ),
    "start the pipeline": (
        {"vams-gaitway-launch"},
        lambda role, world: role.client("stepfunctions").start_execution(
            stateMachineArn=world.plane.deployment.pipeline_arn, input="no JSON"
        ),
    ),
    "end the task of any caller": (
        {"vams-gaitway-launch", "gaitway-collect-results", "gaitway-handle-failure", "gaitway-tell-caller"},
        lambda role, world: role.client("stepfunctions").send_task_success(taskToken=world.token, output="no JSON"),
    ),
    "become a run": (
        {"job"},
        lambda role, world: role.client("sts").assume_role(RoleArn=world.run_access, RoleSessionName="any"),
    ),
    "write to the asset bucket": (
        {"run", "gaitway-handle-failure"},
        lambda role, world: role.client("s3").put_object(Bucket=world.plane.bucket, Key="any", Body=b"x"),
    ),
    "write what VAMS is to note": (
        {"run", "gaitway-handle-failure", "gaitway-collect-results"},
        lambda role, world: role.client("s3").put_object(
            Bucket=world.plane.bucket, Key="any/results.json.metadata.json", Body=b"{}"
        ),
    ),
    "read what VAMS hands over": (
        {"run", *(FUNCTIONS[place] for place in (0, 1, 3, 4))},
        lambda role, world: role.client("s3").get_object(
            Bucket=world.plane.bucket, Key="pipelines/workflowExecutionInputs/1/pipeline1/manifest.json"
        ),
    ),
    "publish a metric of ours": (
        {"run", "gaitway-collect-results", "gaitway-handle-failure", "gaitway-tell-caller", "gaitway-heartbeat"},
        lambda role, world: role.client("cloudwatch").put_metric_data(
            Namespace=NAMESPACE, MetricData=[{"MetricName": "any", "Value": 1.0}]
        ),
    ),
    "call launch": (
        {"workflow"},
        lambda role, world: role.client("lambda").invoke(FunctionName=FUNCTIONS[0], InvocationType="DryRun"),
    ),
}


@pytest.mark.parametrize("what", ONLY)
def test_what_one_step_needs_the_others_may_not(world: World, what: str) -> None:
    allowed, attempt = ONLY[what]
    may = {name for name in ROLES if _may(lambda name=name: attempt(world.role(name), world))}  # type: ignore[misc]
    assert may == allowed


def _may(call: Callable[[], object]) -> bool:
    try:
        with denied():
            call()
    except BaseException:
        # It went through, or was refused for another reason than a policy.
        return True
    return False


def test_a_run_touches_its_own_files_only(world: World, runs: tuple[StartedRun, StartedRun]) -> None:
    training, evaluation = runs
    record = world.plane.runs.record(evaluation.run_id)
    assert record is not None
    assert record.spec is not None
    assert record.spec.policy is not None
    s3 = world.role("run", Policy=next(run_policies(record, "aws", NAMESPACE))).client("s3")

    def get(uri: S3Uri) -> object:
        return s3.get_object(Bucket=uri.bucket, Key=uri.key)

    def put(uri: S3Uri) -> object:
        return s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=b"x")

    put(evaluation.output_files / "note.txt")
    get(evaluation.output_files / "note.txt")
    get(record.spec.policy)
    for uri in (record.spec.policy, training.output_files / "note.txt", S3Uri(world.plane.bucket, "any")):
        with denied():
            put(uri)
    for uri in (training.output_files / "metrics.csv", S3Uri(world.plane.bucket, "any")):
        with denied():
            get(uri)
    with denied():
        s3.list_objects_v2(Bucket=world.plane.bucket)


def test_a_run_reads_its_own_record_and_tokens_only(world: World, runs: tuple[StartedRun, StartedRun]) -> None:
    training, evaluation = runs
    dynamodb = world.role("run", Policy=record_policy(evaluation.run_id)).client("dynamodb")

    def key(run: StartedRun, item: str) -> dict[str, Any]:
        return {"run_id": {"S": run.run_id}, "item": {"S": item}}

    for item in (RUN, TOKENS):
        assert dynamodb.get_item(TableName=world.table, Key=key(evaluation, item))["Item"]
        with denied():
            dynamodb.get_item(TableName=world.table, Key=key(training, item))
        with denied():
            dynamodb.update_item(
                TableName=world.table,
                Key=key(training, item),
                UpdateExpression="SET phase = :any",
                ExpressionAttributeValues={":any": {"S": "any"}},
            )
    with denied():
        dynamodb.query(
            TableName=world.table,
            IndexName="by_state",
            KeyConditionExpression="#s = :s",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={":s": {"S": "running"}},
        )
    # Neither may do what the other is for.
    with denied():
        dynamodb_of_files = world.role("run", Policy=next(run_policies(None, "aws", NAMESPACE))).client("dynamodb")
        dynamodb_of_files.get_item(TableName=world.table, Key=key(evaluation, RUN))


def test_a_run_answers_its_own_machine_and_keeps_any_caller_waiting_at_most(
    world: World, runs: tuple[StartedRun, StartedRun]
) -> None:
    record = world.plane.runs.record(runs[0].run_id)
    states = world.role("run", Policy=next(run_policies(record, "aws", NAMESPACE))).client("stepfunctions")
    # Of another execution of the pipeline a run would need the token, which stands in that run's own item.
    states.send_task_heartbeat(taskToken=world.token)
    with denied():
        states.send_task_success(taskToken=world.token, output=json.dumps({}))
    with denied():
        states.send_task_failure(taskToken=world.token)
    assert world.plane.describe(world.execution)["status"] == "RUNNING"
