"""A run that fails: how far it came, what it left on EFS, and the function that ends it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from gaitway.aws.metrics import Metrics
from gaitway.compute.batch import BatchJobs
from gaitway.compute.jobs import Jobs
from gaitway.compute.sizes import BackendSizes
from gaitway.contracts.artifacts import LOCK_FILE, RESULTS, SIMULATOR_LOG, Results, run_directory
from gaitway.contracts.errors import Failure
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ConstructRunEvent, ExecutionEndedEvent, HandleFailureEvent
from gaitway.contracts.run import RunState, output_prefix_of
from gaitway.names import DEFAULT_NAMES
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from lambdas.handle_failure.ended import failure_of
from lambdas.handle_failure.logic import HandleFailure
from tests.local.control_plane.world import BACKENDS, SIZES, Json, World

NAMESPACE = DEFAULT_NAMES.metrics_namespace

LOG_DIRECTORY = "logs/rsl_rl/cartpole/2026-11-20_12-00-00"
SECONDS_LEFT = 60.0


class StandInBatch:
    """AWS Batch, as far as ending jobs goes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended: list[str] = []
        self._error = error

    def terminate_job(self, *, jobId: str, reason: str) -> None:  # noqa: N803 - boto3's names
        """Note which job is ended."""
        assert reason
        self.ended.append(jobId)
        if self._error is not None:
            raise self._error


class StandInCloudWatch:
    """CloudWatch, as far as counting goes: the real one adds up what all runs publish."""

    def __init__(self, error: Exception | None = None) -> None:
        self.published: list[tuple[str, ...]] = []
        self._error = error

    def put_metric_data(self, *, Namespace: str, MetricData: list[Json]) -> None:  # noqa: N803 - boto3's names
        """Note each metric's name, with the value of its dimension."""
        assert Namespace == NAMESPACE
        for entry in MetricData:
            assert entry["Value"] == 1
            self.published.append((entry["MetricName"], *(one["Value"] for one in entry.get("Dimensions", []))))
        if self._error is not None:
            raise self._error


class Failing:
    """The function that ends runs, with one of them."""

    def __init__(self, world: World, efs_root: Path) -> None:
        self.world = world
        self.efs_root = efs_root
        self.batch = StandInBatch()
        self.cloudwatch = StandInCloudWatch()
        self.s3: Any = world.s3
        self.times: dict[str, float] = {}
        self.seconds_left = SECONDS_LEFT
        self.synchronised_runs: S3Uri | None = None
        """Where SageMaker keeps the directories of its runs."""
        self.jobs: Jobs = BatchJobs(self.batch)  # type: ignore[arg-type]  # no more of it is used

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return run_directory(self.efs_root, self.world.run_id)

    @property
    def execution(self) -> str:
        """The run's inner execution."""
        return self.world.record.execution_arn or ""

    def running(self, **fields: object) -> str:
        """Bring the run as far as its job; return its caller.

        Args:
            fields: Of the message that asks for it, beside the usual ones.
        """
        caller = self.world.launched(**fields)
        started = json.loads(self.world.describe(self.execution)["input"])
        event = ConstructRunEvent.model_validate(started | {"execution_arn": self.execution})
        backends: BackendSizes = {**BACKENDS, "sagemaker": SIZES}
        ConstructRun(self.world.table, Inputs(self.world.s3), backends, ("embedded",)).handle(event)
        now = self.world.record.updated_at
        self.world.table.update(
            self.world.run_id, state=RunState.RUNNING, job_id="job-1", attempts=3, attempt=3, started_at=now
        )
        return caller

    def leave(self, *iterations: int) -> None:
        """Leave checkpoints and a log on EFS, as a runner does that is killed."""
        for iteration in iterations:
            self.write(f"{LOG_DIRECTORY}/model_{iteration}.pt", checkpoint(iteration))
        self.write(SIMULATOR_LOG, b"Learning iteration 3/5\n")
        self.write(LOCK_FILE, b"")

    def write(self, name: str, content: bytes) -> Path:
        """Write a file into the run's directory."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def fail(self, error: str = "SimulationError", cause: str = "the loss is NaN", **replaced: Any) -> Failure:
        """Call the function as the inner machine does."""
        event = {"run_id": self.world.run_id, "error": {"Error": error, "Cause": cause}} | replaced
        if "execution_arn" not in event:
            known = self.world.table.get(self.world.run_id) is not None
            event["execution_arn"] = self.execution if known else "nobody's"
        return self._function().handle(HandleFailureEvent.model_validate(event), lambda: self.seconds_left)

    def execution_ended(self, status: str, **fields: str) -> Failure:
        """Call the function as the rule on executions does."""
        event = {"ended_execution": {"execution_arn": self.execution, "status": status, **fields}}
        ended = ExecutionEndedEvent.model_validate(event).ended_execution
        failure = failure_of(ended, self.world.stepfunctions)
        return self._function().complete(failure, lambda: self.seconds_left)

    def objects(self) -> dict[str, bytes]:
        """Read what S3 holds of the run."""
        prefix = output_prefix_of(self.world.output_path)
        listing = self.world.s3.list_objects_v2(Bucket=prefix.bucket, Prefix=prefix.key).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix.key): self.world.s3.get_object(Bucket=prefix.bucket, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listing
        }

    def results(self) -> Results:
        """Read what the run's results say."""
        return Results.model_validate_json(self.objects()[RESULTS])

    def _function(self) -> HandleFailure:
        return HandleFailure(
            self.world.table,
            self.world.task_tokens,
            self.jobs,
            self.s3,
            Metrics(self.cloudwatch, NAMESPACE),  # type: ignore[arg-type]  # no more of it is used
            self.efs_root,
            synchronised_runs=self.synchronised_runs,
            **self.times,
        )


def checkpoint(iteration: int) -> bytes:
    """Return one as torch.save writes it: a zip archive, which bears no time, so that it is the same each time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), f"weights {iteration}")
    return content.getvalue()
