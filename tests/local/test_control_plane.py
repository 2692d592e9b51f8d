"""The deployed control plane, driven as its callers drive it: by our own workflow, and by one that VAMS generates."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from gaitway.aws.run_table import RunTable
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunRecord, RunState, run_id_of, workflow_output_path
from gaitway.local.launcher import LocalAws, LocalSession
from tests.local.conformance.workflow import ROLE_ARN, until

Json = dict[str, Any]

VAMS_WORKFLOW = Path(__file__).parents[1] / "data" / "vams-workflow.asl.json"
VAMS_STATE = "81870-isaaclab"
RUN_SECONDS = 120.0
"""A small run takes seconds, but the machine may be busy."""
TINY = {"task": "Isaac-Cartpole-Direct-v0", "maxIterations": 2, "numEnvs": 16}


class ControlPlane:
    """The deployed state machines, and what they leave."""

    def __init__(self, local_aws: LocalAws) -> None:
        self.deployment = local_aws.deployment
        session = LocalSession(local_aws.endpoint_url)
        self.stepfunctions = session.client("stepfunctions")
        self.batch = session.client("batch")
        self.s3 = session.client("s3")
        self.logs = session.client("logs")
        self.bucket = self.deployment.asset_bucket_name
        self.table = RunTable(session.client("dynamodb"), self.deployment.run_table_name)

    def start(self, machine_arn: str, document: Json) -> str:
        """Start an execution."""
        execution = self.stepfunctions.start_execution(
            stateMachineArn=machine_arn, name=uuid.uuid4().hex, input=json.dumps(document)
        )
        return str(execution["executionArn"])

    def run_workflow(self, document: Json) -> Json:
        """Run our own workflow to its end."""
        return self.ended(self.start(self.deployment.workflow_arn, document))

    def vams_machine(self, parameters: Json) -> str:
        """Make a machine as VAMS generates it, but one that does not wait 5 seconds before each retry."""
        text = VAMS_WORKFLOW.read_text().replace("${LaunchFunctionName}", self.deployment.launch_function_name)
        definition = json.loads(text)
        state = definition["States"][VAMS_STATE]
        state["Parameters"]["Payload"]["body"]["inputParameters"] = json.dumps(parameters)
        state["Retry"][0]["IntervalSeconds"] = 1
        name = f"vams-{uuid.uuid4().hex[:12]}"
        machine = self.stepfunctions.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=ROLE_ARN
        )
        return str(machine["stateMachineArn"])

    def vams_input(self, file_key: str = "asset-1/robot.usd") -> Json:
        """Return what VAMS starts its workflows with."""
        return {
            "bucketAsset": self.bucket,
            "bucketAssetAuxiliary": self.bucket,
            "inputAssetFileKey": file_key,
            "inputAssetLocationKey": "asset-1/",
            "assetId": "asset-1",
            "databaseId": "robots",
            "workflowDatabaseId": "GLOBAL",
            "workflowId": "train-cartpole",
            "inputMetadata": "{}",
            "executingUserName": "somebody",
            "executingRequestContext": {"requestContext": {}},
        }

    def ended(self, execution_arn: str) -> Json:
        """Wait for the end of an execution, and describe it."""
        until(lambda: self.describe(execution_arn)["status"] != "RUNNING", RUN_SECONDS)
        return self.describe(execution_arn)

    def describe(self, execution_arn: str) -> Json:
        """Describe an execution."""
        description: Json = self.stepfunctions.describe_execution(executionArn=execution_arn)
        return description

    def record_of(self, execution: Json) -> RunRecord | None:
        """Read the record of the run that an execution of our workflow asked for."""
        return self.table.get(run_id_of(workflow_output_path(self.bucket, execution["name"])))

    def vams_record_of(self, execution: Json) -> RunRecord | None:
        """Read the record of the run that an execution of a VAMS workflow asked for."""
        path = f"pipelines/isaaclab/{VAMS_STATE}/output/{execution['name']}/files/"
        return self.table.get(run_id_of(S3Uri(self.bucket, path)))

    def jobs_of(self, run_id: str) -> list[Json]:
        """List the jobs that a run ever had."""
        found: list[Json] = self.batch.list_jobs(
            jobQueue=self.deployment.job_queue_arn, filters=[{"name": "JOB_NAME", "values": [f"{run_id}*"]}]
        )["jobSummaryList"]
        return found

    def events(self, execution_arn: str, kind: str) -> list[Json]:
        """List an execution's events of one kind."""
        history = self.stepfunctions.get_execution_history(executionArn=execution_arn, maxResults=1000)
        return [event for event in history["events"] if event["type"] == kind]

    def log_text(self) -> str:
        """Return everything that functions, machines and jobs have logged."""
        groups = self.logs.describe_log_groups()["logGroups"]
        return "\n".join(
            event["message"]
            for group in groups
            for page in self.logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            for event in page["events"]
        )


@pytest.fixture(scope="module")
def plane(local_aws: LocalAws) -> ControlPlane:
    return ControlPlane(local_aws)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"inputParameters": {"trainingConfig": {"numEnv": 64}}}, "did you mean numEnvs?"),
        ({"inputParameters": '{"trainingConfig": {"numEnvs": "64"}}'}, "trainingConfig.numEnvs is '64'"),
        ({"inputParameters": {"trainingConfig": {"maxIterations": 0}}}, "trainingConfig.maxIterations is 0"),
        ({"inputParameters": "train"}, "inputParameters is 'train'"),
        ({"inputS3AssetFilePath": "robot.usd"}, "inputS3AssetFilePath is 'robot.usd'"),
    ],
    ids=["unknown key", "wrong type", "range", "no JSON", "no address"],
)
def test_a_bad_request_fails_its_caller_at_once_and_starts_nothing(
    plane: ControlPlane, document: Json, said: str
) -> None:
    execution = plane.run_workflow({"mode": "train"} | document)
    assert (execution["status"], execution["error"]) == ("FAILED", "RequestError")
    assert said in execution["cause"]
    assert plane.record_of(execution) is None


def test_a_mode_that_does_not_exist_is_named(plane: ControlPlane) -> None:
    execution = plane.run_workflow({"mode": "tarin"})
    assert (execution["error"], execution["cause"]) == ("RequestError", 'mode is "tarin", allowed: train, evaluate')


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ({"mode": "train", "inputS3AssetFilePath": "s3://{bucket}/no.json"}, "InputNotFoundError", "does not exist"),
        (
            {"mode": "evaluate", "inputParameters": {"trainingConfig": {"mode": "evaluate", "policyPath": "no.pt"}}},
            "RequestError",
            "trainingConfig.policyPath is 'no.pt'",
        ),
        (
            {"mode": "train", "inputParameters": {"computeConfig": {"numNodes": 2}}},
            "RequestError",
            "computeConfig.numNodes is 2, allowed here: 1",
        ),
    ],
    ids=["unreadable file", "missing policy", "not deployed"],
)
def test_what_cannot_be_resolved_fails_both_machines_with_the_same_words(
    plane: ControlPlane, document: Json, error: str, said: str
) -> None:
    document = json.loads(json.dumps(document).replace("{bucket}", plane.bucket))
    execution = plane.run_workflow(document)
    record = plane.record_of(execution)
    assert record is not None
    inner = plane.ended(record.execution_arn or "")
    assert (execution["error"], inner["error"]) == (error, error)
    assert said in execution["cause"]
    assert inner["cause"] == execution["cause"]
    assert "stackTrace" not in execution["cause"]
    assert record.state is RunState.FAILED
    assert record.failure is not None
    assert not record.failure.retryable
    assert plane.jobs_of(record.run_id) == []


def test_a_vams_workflow_trains_a_policy(plane: ControlPlane) -> None:
    machine = plane.vams_machine({"trainingConfig": TINY})
    execution = plane.ended(plane.start(machine, plane.vams_input()))
    record = plane.vams_record_of(execution)
    assert record is not None
    assert execution["status"] == "SUCCEEDED", record.failure
    output = json.loads(execution["output"])
    assert output["assetId"] == "asset-1"
    result = output[VAMS_STATE]["output"]
    assert (result["jobId"], result["status"]) == (record.run_id, "SUCCEEDED")
    manifest = S3Uri.parse(result["manifest"])
    assert plane.s3.head_object(Bucket=manifest.bucket, Key=manifest.key)
    assert plane.ended(record.execution_arn or "")["status"] == "SUCCEEDED"
    assert len(plane.jobs_of(record.run_id)) == 1


def test_what_no_retry_can_mend_is_refused_when_vams_tries_again(plane: ControlPlane) -> None:
    machine = plane.vams_machine({"trainingConfig": TINY})
    execution = plane.ended(plane.start(machine, plane.vams_input("asset-1/no.json")))
    record = plane.vams_record_of(execution)
    assert record is not None
    attempts = [event["taskFailedEventDetails"] for event in plane.events(execution["executionArn"], "TaskFailed")]
    assert execution["status"] == "FAILED"
    assert [attempt["error"] for attempt in attempts] == ["InputNotFoundError"] * 3
    assert [attempt["cause"].startswith("refused, ") for attempt in attempts] == [False, True, True]
    inner = plane.stepfunctions.list_executions(stateMachineArn=plane.deployment.pipeline_arn)["executions"]
    assert sum(found["name"].startswith(record.run_id) for found in inner) == 1


def test_a_run_that_was_interrupted_goes_on_when_vams_tries_again(plane: ControlPlane) -> None:
    long = TINY | {"maxIterations": 150, "checkpointInterval": 20}
    started = plane.start(plane.vams_machine({"trainingConfig": long}), plane.vams_input())
    execution = plane.describe(started)

    def first_job() -> str | None:
        record = plane.vams_record_of(execution)
        return record.job_id if record is not None and record.progress is not None else None

    until(lambda: first_job() is not None, RUN_SECONDS)
    interrupted = plane.vams_record_of(execution)
    assert interrupted is not None
    plane.batch.terminate_job(jobId=interrupted.job_id, reason="the instance is reclaimed")
    execution = plane.ended(started)
    record = plane.vams_record_of(execution)
    assert record is not None
    failures = [event["taskFailedEventDetails"] for event in plane.events(started, "TaskFailed")]
    assert [failure["error"] for failure in failures] == ["InterruptedRunError"]
    assert execution["status"] == "SUCCEEDED"
    assert record.state is RunState.SUCCEEDED
    assert record.failure is None
    assert record.execution_arn != interrupted.execution_arn
    assert record.job_id != interrupted.job_id
    # The job reports before it ends.
    until(lambda: sorted(job["status"] for job in plane.jobs_of(record.run_id)) == ["FAILED", "SUCCEEDED"])


def test_no_token_is_in_any_log(plane: ControlPlane) -> None:
    execution = plane.ended(plane.start(plane.deployment.workflow_arn, {"inputParameters": {"trainingConfig": TINY}}))
    record = plane.record_of(execution)
    assert record is not None
    tokens = plane.table.tokens(record.run_id)
    text = plane.log_text()
    assert tokens.external is not None
    assert tokens.inner is not None
    assert record.run_id in text
    assert tokens.external not in text
    assert tokens.inner not in text
