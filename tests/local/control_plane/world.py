"""What surrounds the Lambdas, in the emulator: run table, bucket, inner machine, and callers that wait for a run."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from gaitway.aws.run_table import BY_GROUP, BY_STATE, RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.compute.sizes import BackendSizes, JobSize, JobSizes
from gaitway.contracts.artifacts import MANIFEST, Manifest, ManifestEntry
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunRecord, RunSpec, output_prefix_of, run_id_of
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries.simulators import Simulator
from lambdas.launch.logic import CallerAdapter, Launch
from lambdas.launch.vams import Vams
from tests.checkpoints import named
from tests.local.conformance.workflow import ROLE_ARN, Definition, Workflow, single_state, until
from tests.local.emulator import Emulator

Json = dict[str, Any]

SIZES: JobSizes = {
    1: JobSize(gpus=1, vcpus=1, memory_mib=128, max_nodes=3, instance_gpus=1),
    4: JobSize(gpus=4, vcpus=2, memory_mib=512, max_nodes=2, instance_gpus=4),
}
"""What fits the instances of an imagined deployment."""
BACKENDS: BackendSizes = {"batch": SIZES}
KEYS = [("run_id", "HASH"), ("item", "RANGE")]
INDEXES = {
    BY_STATE: ("state", ["execution_arn", "job_id"]),
    BY_GROUP: ("group_id", ["state", "execution_arn", "job_id"]),
}
"""Partition key of each, and what it holds beside the keys."""


def create_run_table(dynamodb: Any, indexes: Mapping[str, tuple[str, list[str]]] = INDEXES) -> RunTable:
    """Make a run table as the stacks do.

    Args:
        dynamodb: A DynamoDB client.
        indexes: By name, the key of each, and the attributes that it holds.
    """
    name = f"runs-{uuid.uuid4().hex[:12]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in KEYS],
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"}
            for key in ("run_id", "item", "created_at", *(key for key, _ in indexes.values()))
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [
                    {"AttributeName": key, "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": attributes},
            }
            for name, (key, attributes) in indexes.items()
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
        self.launch = self.launch_where("embedded")
        self.output_path = S3Uri(self.bucket, f"p/output/{uuid.uuid4().hex}/files/")
        self.run_id = run_id_of(self.output_path)

    def launch_where(self, simulator: Simulator = "embedded", adapter: CallerAdapter | None = None) -> Launch:
        """Make the function of a deployment with this simulator, for callers that this adapter reads."""
        callers = adapter or Vams(self.s3)
        return Launch(self.table, self.task_tokens, self.stepfunctions, callers, self.pipeline_arn, (simulator,))

    @property
    def table_name(self) -> str:
        """Name of the run table."""
        return self.table._table_name

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

    def put(self, key: str, body: bytes | None = None) -> S3Uri:
        """Write an object into the asset bucket: by default what its name promises."""
        content = named(key.rpartition("/")[2]) if body is None else body
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
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
