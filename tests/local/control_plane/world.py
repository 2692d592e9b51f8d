"""What surrounds the Lambdas, in the emulator: run table, bucket, inner machine, and callers that wait for a run."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from gaitway.aws.run_table import BY_STATE, RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.artifacts import MANIFEST, Manifest, ManifestEntry
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig, TrainingConfig
from gaitway.contracts.run import RunRecord, RunSpec, output_prefix_of, run_id_of
from lambdas.job_sizes import JobSize, JobSizes
from lambdas.launch.launch import Launch
from tests.local.conformance.workflow import ROLE_ARN, Definition, Workflow, single_state, until
from tests.local.emulator import Emulator

Json = dict[str, Any]

SIZES: JobSizes = {
    1: JobSize(gpus=1, vcpus=1, memory_mib=128, max_nodes=3),
    4: JobSize(gpus=4, vcpus=2, memory_mib=512, max_nodes=2),
}
"""What fits the instances of an imagined deployment."""
KEYS = [("run_id", "HASH"), ("item", "RANGE")]
BY_STATE_KEYS = [("state", "HASH"), ("created_at", "RANGE")]


def create_run_table(dynamodb: Any) -> RunTable:
    """Make a run table as the stacks do."""
    name = f"runs-{uuid.uuid4().hex[:12]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in KEYS],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in KEYS + BY_STATE_KEYS],
        GlobalSecondaryIndexes=[
            {
                "IndexName": BY_STATE,
                "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in BY_STATE_KEYS],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["execution_arn", "job_id"]},
            }
        ],
    )
    return RunTable(dynamodb, name)


class World:
    """One run, seen from the control plane."""

    def __init__(self, emulator: Emulator) -> None:
        self.workflow = Workflow(emulator)
        self.stepfunctions = emulator.client("stepfunctions")
        self.s3 = emulator.client("s3")
        self.table = create_run_table(emulator.client("dynamodb"))
        self.bucket = f"assets-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.task_tokens = TaskTokens(self.stepfunctions)
        # An inner machine that goes on until it is told.
        self.pipeline_arn: str = self.stepfunctions.create_state_machine(
            name=f"pipeline-{uuid.uuid4().hex[:12]}",
            definition=json.dumps(single_state({"Type": "Wait", "Seconds": 3600})),
            roleArn=ROLE_ARN,
        )["stateMachineArn"]
        self.launch = Launch(self.table, self.task_tokens, self.stepfunctions, self.s3, self.pipeline_arn)
        self.output_path = S3Uri(self.bucket, f"p/output/{uuid.uuid4().hex}/files/")
        self.run_id = run_id_of(self.output_path)

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        record = self.table.get(self.run_id)
        assert record is not None
        return record

    def caller(self) -> tuple[str, str]:
        """Start an execution that waits as VAMS does; return its ARN and its token."""
        execution = self.workflow.start(self.waiting())
        return execution, self.workflow.next_token()

    def waiting(self, **fields: object) -> Definition:
        """Return the machine of a caller."""
        return single_state(self.workflow.callback_task(**fields))

    def event(self, token: str, **fields: object) -> Json:
        """Return VAMS's message for this run."""
        body = {
            "TaskToken": token,
            "outputS3AssetFilesPath": str(self.output_path),
            "inputParameters": json.dumps({"trainingConfig": {"maxIterations": 5}}),
            "bucketAsset": self.bucket,
            "inputS3AssetFilePath": "",
        }
        return {"body": body | fields}

    def launched(self, **fields: object) -> str:
        """Launch the run for a caller of its own; return the caller's execution."""
        execution, token = self.caller()
        assert self.launch.handle(self.event(token, **fields))["statusCode"] == 200
        return execution

    def constructed(self, **compute: int) -> str:
        """Launch the run, and write its specification as construct_run does; return the caller's execution."""
        caller = self.launched()
        spec = RunSpec(
            run_id=self.run_id,
            training=TrainingConfig(),
            compute=ComputeConfig.model_validate(compute),
            output_files=output_prefix_of(self.output_path),
        )
        assert self.table.update(self.run_id, spec=spec)
        return caller

    def executions(self, status: str | None = None) -> list[str]:
        """List the inner executions, the newest first."""
        filters = {"statusFilter": status} if status else {}
        found = self.stepfunctions.list_executions(stateMachineArn=self.pipeline_arn, **filters)["executions"]
        return [execution["executionArn"] for execution in found]

    def stop(self, execution_arn: str) -> None:
        """Stop an execution from outside."""
        self.stepfunctions.stop_execution(executionArn=execution_arn)
        until(lambda: self.describe(execution_arn)["status"] != "RUNNING")

    def describe(self, execution_arn: str) -> Json:
        """Describe an execution."""
        description: Json = self.stepfunctions.describe_execution(executionArn=execution_arn)
        return description

    def is_waiting(self, execution_arn: str) -> bool:
        """Tell whether a caller still waits."""
        return bool(self.describe(execution_arn)["status"] == "RUNNING")

    def put(self, key: str, body: bytes = b"x") -> S3Uri:
        """Write an object into the asset bucket."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return S3Uri(self.bucket, key)

    def leave_outputs(self, files: dict[str, bytes]) -> S3Uri:
        """Upload a run's outputs with their manifest, as the job does; return the manifest's address."""
        prefix = output_prefix_of(self.output_path)
        entries = [
            ManifestEntry(path=path, size=len(body), sha256=hashlib.sha256(body).hexdigest())
            for path, body in files.items()
        ]
        for path, body in files.items():
            self.put((prefix / path).key, body)
        now = self.record.updated_at
        manifest = Manifest(run_id=self.run_id, created_at=now, files=entries)
        return self.put((prefix / MANIFEST).key, manifest.model_dump_json(by_alias=True).encode())

    def close(self) -> None:
        """Stop what still runs."""
        for execution in self.executions("RUNNING"):
            self.stepfunctions.stop_execution(executionArn=execution)
