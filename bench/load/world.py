"""Our stacks on a separate embedded AWS for the measurement, in whose jobs the simulator only waits."""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from bench.load.stub_job import OUTPUTS_VARIABLE
from bench.processes import BenchError
from gaitway.client.runs import Runs, StartedRun
from gaitway.contracts.request import Request
from gaitway.contracts.workload import TrainingConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.cdk import CdkDeployer
from gaitway.local.guard import MARKER, processes_with
from gaitway.local.launcher import Launcher, LocalAws
from gaitway.local.server_process import running_server
from gaitway.names import DEFAULT_NAMES

Json = dict[str, Any]

ITERATIONS = 4
REQUEST = Request(training_config=TrainingConfig(task="Isaac-Cartpole-Direct-v0", max_iterations=ITERATIONS))
_LOGS = Path("rsl_rl/cartpole/2026-11-20_12-00-00")
_SETTINGS = {
    # With this, the emulator records every call that it receives.
    "CLOUDTRAIL_RECORDING": "1",
    "CLOUDTRAIL_MAX_EVENTS": "100000",
}
"""MiniStack's own account id."""


class World:
    """The deployment under load.

    Args:
        local_aws: The embedded AWS that it is deployed to.
        state_directory: Where the emulator keeps its state.
        simulator_outputs: Directory with the files that the simulator writes.
    """

    def __init__(self, local_aws: LocalAws, state_directory: Path, simulator_outputs: Path) -> None:
        self.deployment = local_aws.deployment
        self.session: Any = local_aws.session()  # the stubs know services by literal name only
        self.runs = Runs(self.session, local_aws.deployment)
        self.stepfunctions: Any = self.session.client("stepfunctions")
        self.batch: Any = self.session.client("batch")
        self.dynamodb: Any = self.session.client("dynamodb")
        self.lambda_: Any = self.session.client("lambda")
        self.logs: Any = self.session.client("logs")
        self.cloudtrail: Any = self.session.client("cloudtrail")
        self._state_directory = state_directory
        self._use_stub(simulator_outputs)

    @property
    def functions(self) -> list[Json]:
        """Configurations of our functions."""
        pages = self.lambda_.get_paginator("list_functions").paginate()
        return [
            function
            for page in pages
            for function in page["Functions"]
            if function.get("Handler", "").startswith("lambdas.")
        ]

    def start(self) -> StartedRun:
        """Start a run."""
        return self.runs.start(REQUEST)

    def status(self, execution_arn: str) -> str:
        """Return the status of an execution."""
        return str(self.stepfunctions.describe_execution(executionArn=execution_arn)["status"])

    def running(self) -> int:
        """Count the waiting callers."""
        pages = self.stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self.deployment.workflow_arn, statusFilter="RUNNING"
        )
        return sum(len(page["executions"]) for page in pages)

    def events(self, execution_arn: str) -> list[Json]:
        """List an execution's events."""
        pages = self.stepfunctions.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
        return [event for page in pages for event in page["events"]]

    def jobs(self, run_id: str) -> list[Json]:
        """Describe all jobs of a run."""
        named = [{"name": "JOB_NAME", "values": [f"{run_id}*"]}]
        found = [
            job
            for queue in self.deployment.job_queue_arns
            for job in self.batch.list_jobs(jobQueue=queue, filters=named)["jobSummaryList"]
        ]
        return list(self.batch.describe_jobs(jobs=[job["jobId"] for job in found])["jobs"]) if found else []

    def job_log(self, attempt: Json) -> list[str]:
        """Read the log of an attempt of a job."""
        events = self.logs.get_log_events(
            logGroupName=DEFAULT_NAMES.job_logs, logStreamName=attempt["container"]["logStreamName"], startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    def items(self, run_id: str) -> dict[str, Json]:
        """Read a run's items of the run table, by their sort key."""
        found = self.dynamodb.query(
            TableName=self.deployment.run_table_name,
            KeyConditionExpression="run_id = :run",
            ExpressionAttributeValues={":run": {"S": run_id}},
        )["Items"]
        return {item["item"]["S"]: item for item in found}

    def log_events(self, group: str, since: datetime) -> list[str]:
        """List the events of a log group since a moment."""
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since.timestamp() * 1000)
        )
        return [event["message"] for page in pages for event in page["events"]]

    def resident_mib(self) -> tuple[float, float]:
        """Return resident memory: the emulator's, and the sum of all its functions and jobs."""
        record = running_server(self._state_directory)
        if record is None:
            raise BenchError("the embedded AWS does not run any more")
        emulator, others = 0.0, 0.0
        for process in processes_with(MARKER, record.emulator_id):
            with contextlib.suppress(psutil.Error):
                resident = process.memory_info().rss / 2**20
                if process.pid == record.process_id:
                    emulator = resident
                else:
                    others += resident
        return emulator, others

    def _use_stub(self, simulator_outputs: Path) -> None:
        """Give the job another command, through AWS's own API."""
        definitions = self.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        definition: Json = next(item for item in definitions if "containerProperties" in item)
        container = definition["containerProperties"]
        environment = {item["name"]: item["value"] for item in container["environment"]} | {
            "PYTHONPATH": str(REPOSITORY_ROOT),
            "GAITWAY_SIMULATOR": "embedded",
            OUTPUTS_VARIABLE: str(simulator_outputs),
        }
        container |= {
            "image": "gaitway/shell:local",
            "command": [sys.executable, "-m", "bench.load.stub_job", "Ref::run_id"],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
        }
        kept = ("jobDefinitionName", "type", "parameters", "retryStrategy", "timeout", "propagateTags")
        # The newest revision is the one that is submitted.
        self.batch.register_job_definition(
            **{name: definition[name] for name in kept if name in definition}, containerProperties=container
        )


@contextlib.contextmanager
def world_under_load(directory: Path) -> Iterator[World]:
    """Start an embedded AWS that records its calls, deploy our stacks to it, and stop it afterwards.

    Args:
        directory: Directory for all its files.
    """
    before = dict(os.environ)
    os.environ.update(_SETTINGS)
    launcher = Launcher(directory / "state", CdkDeployer(directory / "cdk"))
    try:
        yield World(launcher.up(lambda _: None), launcher.state_directory, _outputs(directory / "outputs"))
    finally:
        launcher.down()
        os.environ.clear()
        os.environ.update(before)


def _outputs(directory: Path) -> Path:
    """Write the files that the simulator leaves: small ones of rsl_rl."""
    logs = directory / _LOGS
    (logs / "params").mkdir(parents=True)
    (logs / "params" / "agent.yaml").write_text("seed: 42\n")
    writer = EventFileWriter(str(logs))
    for step in range(ITERATIONS):
        for tag in ("Train/mean_reward", "Perf/total_fps", "Perf/collection_time", "Perf/learning_time"):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=1.0)])
            writer.add_event(Event(step=step, wall_time=1e9 + step, summary=summary))
        with zipfile.ZipFile(logs / f"model_{step}.pt", "w") as archive:
            archive.writestr("data.pkl", f"weights {step}".ljust(2_000))
    writer.close()
    return directory
