"""What surrounds the runner, in the emulator: run table, bucket, and the machines that wait for the job."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from gaitway.aws.metrics import Metrics
from gaitway.aws.run_table import RunTable
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.inputs import CUSTOM_ENVIRONMENT, POLICY, InputFile
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunRecord, RunSpec, RunState
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig, WorkloadConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.extensions.batch.container_environment import container_environment
from gaitway.local.extensions.batch.images import IMAGES
from gaitway.local.runtime import REGION
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.environment import Environment
from gaitway.runner.host.host import Host
from gaitway.runner.host.hosts import host_of
from gaitway.runner.run import Clients, run
from gaitway.runner.stop import StopRequest
from tests.local.conformance.workflow import Workflow, single_state
from tests.local.emulator import Emulator
from tests.local.task_credentials import task_credentials
from tests.unit.runner.scripted_simulator import COMMAND

NAMESPACE = DEFAULT_NAMES.metrics_namespace

TRAINING = TrainingConfig(max_iterations=5, num_envs=8)
EVALUATION = EvaluationConfig(num_episodes=3)


def priced(directory: Path, usd_per_second: float) -> dict[str, str]:
    """Give a job a machine, and that machine a price."""
    machine = directory / "machine.json"
    machine.write_text('{"instanceType": "local", "purchase": "on-demand"}', encoding="utf-8")
    return {
        "GAITWAY_MACHINE_FILE": str(machine),
        "GAITWAY_INSTANCE_PRICES": json.dumps({"local": usd_per_second * 3600}),
    }


class World:
    """One run, and everybody who waits for it."""

    def __init__(self, emulator: Emulator, efs_root: Path) -> None:
        self.run_id = f"run-{uuid.uuid4().hex[:12]}"
        self.efs_root = efs_root
        self.s3 = emulator.client("s3")
        self.bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self.output = S3Uri(self.bucket, "assets/output/1/files/1/")
        self.workflow = Workflow(emulator)
        self._emulator = emulator
        self._table_name = f"runs-{uuid.uuid4().hex[:12]}"
        dynamodb = emulator.client("dynamodb")
        dynamodb.create_table(
            TableName=self._table_name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "run_id", "KeyType": "HASH"},
                {"AttributeName": "item", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "run_id", "AttributeType": "S"},
                {"AttributeName": "item", "AttributeType": "S"},
            ],
        )
        self.table = RunTable(dynamodb, self._table_name)
        self.caller = ""
        """The execution that waits for the run."""
        self.execution = ""
        """The execution that waits for the job."""
        self._executions: list[str] = []
        self.tokens: list[str] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._closing = ExitStack()
        self.surroundings: tuple[str, ...] = ()
        """A command line in front of a job's own."""
        self.image = IMAGES["gaitway/embedded:local"]
        """What a job's container is made from."""
        self.sources = REPOSITORY_ROOT
        """Where a job's code is."""

    def create_bucket(self) -> None:
        """Make the bucket that the run writes to."""
        self.s3.create_bucket(Bucket=self.bucket)

    def submit(
        self,
        training: WorkloadConfig = TRAINING,
        *,
        heartbeat_timeout_seconds: int = 60,
        policy: S3Uri | None = None,
        package: S3Uri | None = None,
        compute: ComputeConfig | None = None,
    ) -> None:
        """Put the run into the table, as the Lambdas do, while its caller and the inner machine wait for it."""
        self.caller, external = self.start_execution(HeartbeatSeconds=heartbeat_timeout_seconds)
        self.execution, inner = self.start_execution(HeartbeatSeconds=heartbeat_timeout_seconds)
        self.tokens = [external, inner]
        now = datetime.now(UTC)
        spec = RunSpec(
            run_id=self.run_id,
            training=training,
            compute=compute or ComputeConfig(),
            output_files=self.output,
            inputs={name: InputFile(uri=uri) for name, uri in ((POLICY, policy), (CUSTOM_ENVIRONMENT, package)) if uri},
        )
        record = RunRecord(
            run_id=self.run_id,
            state=RunState.QUEUED,
            created_at=now,
            updated_at=now,
            execution_arn=self.execution,
            spec=spec,
        )
        assert self.table.accept(record, external, instead_of=None)
        self.give_token("inner", inner)

    def submit_again(self) -> None:
        """Begin the run anew, as launch does for a caller that tries again: with an execution and a job of its own."""
        self.execution, inner = self.start_execution(HeartbeatSeconds=60)
        failed = self.record
        self.table.update(self.run_id, state=RunState.FAILED)
        begun = failed.model_copy(
            update={"state": RunState.QUEUED, "execution_arn": self.execution, "job_id": None, "attempt": None}
        )
        assert self.table.accept(begun, self.tokens[0], instead_of=failed.model_copy(update={"state": RunState.FAILED}))
        self.give_token("inner", inner)

    def give_token(self, kind: Literal["external", "inner"], token: str) -> None:
        """Put a token in the place of the one that the run's execution has."""
        assert self.table.give_token(self.run_id, self.record.execution_arn or "", kind, token)

    @property
    def directory(self) -> Path:
        """The run's directory on EFS."""
        return run_directory(self.efs_root, self.run_id)

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        record = self.table.get(self.run_id)
        assert record is not None
        return record

    def objects(self) -> dict[str, bytes]:
        """Read everything below the run's prefix."""
        listing = self.s3.list_objects_v2(Bucket=self.output.bucket, Prefix=self.output.key)
        return {
            item["Key"].removeprefix(self.output.key): self.s3.get_object(Bucket=self.bucket, Key=item["Key"])[
                "Body"
            ].read()
            for item in listing.get("Contents", [])
        }

    def start_job(self, script: str, **variables: str) -> Job:
        """Start the runner as a process, with a scripted simulator."""
        return self._start("tests.local.scripted_runner", script, self.run_id, **variables)

    def start_runner(self, **variables: str) -> Job:
        """Start the runner as a process, with a real simulator: GAITWAY_SIMULATOR names its module."""
        return self._start("gaitway.runner", self.run_id, **variables)

    def start_image(self, **variables: str) -> Job:
        """Start what the image starts, with the id of the run as its command."""
        return self._job([*self.image.entrypoint, self.run_id], variables)

    def run_here(
        self,
        script: str,
        clients: Clients | None = None,
        stop: StopRequest | None = None,
        variables: Mapping[str, str] | None = None,
        host: Host | None = None,
        command: Sequence[str] = COMMAND,
    ) -> int:
        """Run the job in this process, whose start-up costs no time.

        Args:
            script: What the simulator does.
            clients: The job role's; new ones when None.
            stop: How a signal asks the run to end.
            variables: Of the job's environment.
            host: What runs the job; AWS Batch when None.
            command: Starts the simulator.
        """
        environment = Environment.of(self._variables | {"GAITWAY_HEARTBEAT_SECONDS": "0.3"} | dict(variables or {}))
        return run(
            self.run_id,
            (*command, script),
            environment,
            host or self.host(variables),
            clients or self.clients(),
            stop or StopRequest(),
        )

    def host(self, variables: Mapping[str, str] | None = None, batch: Any = None) -> Host:
        """Return AWS Batch, as it describes itself to a job; with another client where that is given."""
        told = self._variables | dict(variables or {})
        return host_of(told, lambda service: batch or self._emulator.client(service))

    def clients(self) -> Clients:
        """Make new clients for a job in this process."""
        return Clients(
            s3=self._emulator.client("s3"),
            dynamodb=self._emulator.client("dynamodb"),
            stepfunctions=self._emulator.client("stepfunctions"),
            metrics=Metrics(self._emulator.client("cloudwatch"), NAMESPACE),
        )

    def status(self, execution: str) -> str:
        """Tell how an execution stands."""
        status: str = self.workflow.states.describe_execution(executionArn=execution)["status"]
        return status

    def outcome(self) -> dict[str, Any]:
        """Wait for the end of the machine that waits for the job."""
        return self.workflow.ended(self.execution)

    def close(self) -> None:
        """End what still runs."""
        self._closing.callback(self._end_processes)
        self._closing.close()

    def _end_processes(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
        for execution in self._executions:
            if self.status(execution) == "RUNNING":
                self.workflow.states.stop_execution(executionArn=execution)

    def start_execution(self, **task_fields: object) -> tuple[str, str]:
        """Start a machine that waits, and return the execution and its token."""
        execution = self.workflow.start(single_state(self.workflow.callback_task(**task_fields)))
        self._executions.append(execution)
        return execution, self.workflow.next_token()

    @property
    def _variables(self) -> dict[str, str]:
        return {
            "GAITWAY_RUN_TABLE": self._table_name,
            "GAITWAY_METRICS_NAMESPACE": NAMESPACE,
            "GAITWAY_EFS_ROOT": str(self.efs_root),
            "GAITWAY_SIMULATOR": "embedded",
            "AWS_BATCH_JOB_ID": "job-1",
            "AWS_BATCH_JOB_ATTEMPT": "1",
        }

    def _container_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Give a runner what a job of the embedded AWS Batch is given, and nothing of this process's environment."""
        # As in stacks/components/simulation_job.py.
        regions = dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), REGION)
        return container_environment(
            self.image,
            self._variables | regions | {"GAITWAY_HEARTBEAT_SECONDS": "0.5"} | dict(variables),
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self._closing.enter_context(task_credentials())},
            home=self.efs_root,
            endpoint_url=self._emulator.endpoint_url,
        )

    def _start(self, module: str, *arguments: str, **variables: str) -> Job:
        return self._job([sys.executable, "-m", module, *arguments], variables)

    def _job(self, command: Sequence[str], variables: Mapping[str, str]) -> Job:
        process = subprocess.Popen(
            [*self.surroundings, *command],
            cwd=self.sources,
            env=self._container_environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return Job(process)


class Job:
    """A runner's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines: Iterator[str] = iter(process.stdout)
        self.process = process
        self.output = ""

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a line with this text."""
        for line in self._lines:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"{text!r} was never printed:\n{self.output}")

    def wait(self) -> int:
        """Wait for its end, and return the exit code."""
        self.output += "".join(self._lines)
        return self.process.wait()


def files_holding(secrets: Sequence[str], directory: Path) -> list[Path]:
    """List the files in which one of the secrets stands."""
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets)
    ]


def parse(document: bytes) -> dict[str, Any]:
    """Read a JSON object."""
    parsed: dict[str, Any] = json.loads(document)
    return parsed
