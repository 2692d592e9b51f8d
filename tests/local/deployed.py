"""Our stacks in the emulator, and what their callers do with them."""

import json
import uuid
from pathlib import Path
from typing import Any

from gaitway.aws.run_table import RunTable
from gaitway.client.runs import Runs
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunRecord, run_id_of, workflow_output_path
from gaitway.local.launcher import LocalAws
from tests.local.conformance.workflow import ROLE_ARN, create_any_role, until

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
        session: Any = local_aws.session()  # the stubs know services by literal name only
        self.runs = Runs(session, local_aws.deployment)
        self.stepfunctions = session.client("stepfunctions")
        self.batch = session.client("batch")
        self.s3 = session.client("s3")
        self.logs = session.client("logs")
        self.cloudwatch = session.client("cloudwatch")
        self.lambda_ = session.client("lambda")
        create_any_role(session.client("iam"))
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

    def vams_machine(self, *steps: Json) -> str:
        """Make a machine as VAMS generates it, but one that does not wait 5 seconds before each retry.

        Args:
            steps: The parameters of each of the workflow's pipelines.
        """
        text = VAMS_WORKFLOW.read_text().replace("${LaunchFunctionName}", self.deployment.launch_function_name)
        definition = json.loads(text)
        states = definition["States"]
        first = states.pop(VAMS_STATE)
        first["Retry"][0]["IntervalSeconds"] = 1
        names = [VAMS_STATE, *(f"{number}-{VAMS_STATE}" for number in range(2, len(steps) + 1))]
        for name, parameters, then in zip(names, steps, [*names[1:], first["Next"]], strict=True):
            states[name] = state = json.loads(json.dumps(first)) | {"Next": then, "ResultPath": f"$.{name}.output"}
            body = state["Parameters"]["Payload"]["body"]
            body["inputParameters"] = json.dumps(parameters)
            if name != VAMS_STATE:
                # All steps share the first one's paths, and the later ones work on what is there.
                body["inputS3AssetFilePath.$"] = body["outputS3AssetFilesPath.$"]
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

    def put(self, key: str, body: bytes) -> S3Uri:
        """Put a file into the asset bucket."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return S3Uri(self.bucket, key)

    def record_of(self, execution: Json) -> RunRecord | None:
        """Read the record of the run that an execution of our workflow asked for."""
        return self.table.get(run_id_of(workflow_output_path(self.bucket, execution["name"])))

    def vams_record_of(self, execution: Json) -> RunRecord | None:
        """Read the record of the run that an execution of a VAMS workflow asked for."""
        path = f"pipelines/isaaclab/{VAMS_STATE}/output/{execution['name']}/files/"
        return self.table.get(run_id_of(S3Uri(self.bucket, path)))

    def jobs_of(self, run_id: str) -> list[Json]:
        """List the jobs that a run ever had."""
        named = [{"name": "JOB_NAME", "values": [f"{run_id}*"]}]
        return [
            job
            for queue in self.deployment.job_queue_arns
            for job in self.batch.list_jobs(jobQueue=queue, filters=named)["jobSummaryList"]
        ]

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
