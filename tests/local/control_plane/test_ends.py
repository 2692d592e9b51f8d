"""collect_results and handle_failure: every end of a run reaches its caller, once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gaitway.aws.metrics import Metrics
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.artifacts import METRICS, RESULTS, Results, TrainingSummary
from gaitway.contracts.errors import ArtifactError, CancelledError, Failure, InterruptedRunError, RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import CollectResultsEvent
from gaitway.contracts.run import RunState, output_prefix_of
from gaitway.names import DEFAULT_NAMES
from lambdas.collect_results.logic import CollectResults
from lambdas.collect_results.sinks import PublishedRun, Sink
from lambdas.collect_results.vams import VamsMetadata
from tests.local.control_plane.failing import Failing, StandInBatch, StandInCloudWatch
from tests.local.control_plane.world import World

FILES = {METRICS: b"step,reward\n1,2\n", RESULTS: b"{}", "checkpoints/model_4.pt": b"weights"}


@pytest.fixture
def failing(world: World, tmp_path: Path) -> Failing:
    return Failing(world, tmp_path)


class Silent(TaskTokens):
    """Is cut off before it can tell anybody."""

    def succeed(self, token: str, output: object) -> bool:
        """Break off."""
        raise ConnectionError


STEPS = ("check", "publish", "conclude")


class Noting:
    """A sink that notes what is published, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.published: list[str] = []
        self._error = error

    def publish(self, run: PublishedRun) -> None:
        """Note the run."""
        if self._error is not None:
            raise self._error
        self.published.append(run.spec.run_id)


def collect(
    world: World,
    manifest: S3Uri,
    task_tokens: TaskTokens | None = None,
    cloudwatch: StandInCloudWatch | None = None,
    sinks: Sequence[Sink] | None = None,
    steps: Sequence[str | None] = STEPS,
    **job: int,
) -> None:
    """Take the steps after the job, as the inner machine does."""
    counted: Any = cloudwatch or StandInCloudWatch()
    metrics = Metrics(counted, DEFAULT_NAMES.metrics_namespace)
    sinks = (VamsMetadata(world.s3),) if sinks is None else sinks
    function = CollectResults(world.table, task_tokens or world.task_tokens, world.s3, metrics, sinks)
    for step in steps:
        event = CollectResultsEvent.model_validate(
            {
                "run_id": world.run_id,
                "execution_arn": world.record.execution_arn,
                "job": {"run_id": world.run_id, "manifest": str(manifest), **job},
                "step": step,
            }
        )
        function.handle(event)


def results_of(world: World) -> bytes:
    """Return the results of a training that went well, as a run leaves them."""
    results = Results(
        run_id=world.run_id,
        status="succeeded",
        mode="train",
        task="Isaac-Cartpole-v0",
        rl_library="rsl_rl",
        attempts=1,
        ended_at=world.record.updated_at,
        training=TrainingSummary(
            iterations=5,
            final_checkpoint="checkpoints/model_4.pt",
            mean_reward=7.5,
            mean_steps_per_second=None,
            training_seconds=1.0,
        ),
    )
    return results.model_dump_json(by_alias=True).encode()


def test_a_run_with_complete_outputs_succeeds_and_its_caller_learns_where_they_are(
    world: World, failing: Failing
) -> None:
    caller = failing.running()
    manifest = world.leave_outputs(FILES)
    collect(world, manifest)
    told = world.workflow.ended(caller)
    assert told["status"] == "SUCCEEDED"
    assert told["output"] == {
        "jobId": world.run_id,
        "status": "SUCCEEDED",
        "outputPath": str(output_prefix_of(world.output_path)),
        "manifest": str(manifest),
    }
    assert world.record.state is RunState.SUCCEEDED
    assert world.record.ended_at is not None


def test_what_vams_is_to_note_is_written_before_the_caller_is_told(world: World, failing: Failing) -> None:
    metadata = S3Uri(world.bucket, "pipelines/output/1/metadata/")
    caller = failing.running(outputS3AssetMetadataPath=str(metadata))
    manifest = world.leave_outputs(FILES | {RESULTS: results_of(world)})
    document = metadata / output_prefix_of(world.output_path).name / "checkpoints/model_4.pt.metadata.json"

    def read() -> Any:
        return json.loads(world.s3.get_object(Bucket=document.bucket, Key=document.key)["Body"].read())

    collect(world, manifest, steps=("check", "publish"))
    written = read()
    assert world.is_waiting(caller)
    assert written["type"] == "metadata"
    assert {"metadataKey": "meanReturn", "metadataValue": "7.5", "metadataValueType": "number"} in written["metadata"]
    collect(world, manifest, steps=("conclude",))
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"

    writes: list[str] = []
    world.s3.meta.events.register("before-call.s3.PutObject", lambda **_: writes.append("a file"))
    collect(world, manifest, steps=("publish",))
    assert writes == []
    assert read() == written


def test_a_sink_that_fails_keeps_neither_the_others_nor_the_caller_waiting(world: World, failing: Failing) -> None:
    caller = failing.running()
    manifest = world.leave_outputs(FILES | {RESULTS: results_of(world)})
    broken, working = Noting(ValueError("a bug of its own")), Noting()
    collect(world, manifest, sinks=(broken, working))
    assert working.published == [world.run_id]
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"


def test_a_run_that_was_cancelled_after_it_was_checked_is_not_published(world: World, failing: Failing) -> None:
    failing.running()
    manifest = world.leave_outputs(FILES | {RESULTS: results_of(world)})
    sink = Noting()
    collect(world, manifest, sinks=(sink,), steps=("check",))
    failing.fail("CancelledError", "stopped")
    with pytest.raises(RunRefusedError):
        collect(world, manifest, sinks=(sink,), steps=("publish",))
    assert sink.published == []


def test_a_run_that_is_cancelled_while_it_is_published_is_written_nowhere(world: World, failing: Failing) -> None:
    metadata = S3Uri(world.bucket, "pipelines/output/1/metadata/")
    failing.running(outputS3AssetMetadataPath=str(metadata))
    manifest = world.leave_outputs(FILES | {RESULTS: results_of(world)})

    class Cancelling:
        def publish(self, run: PublishedRun) -> None:
            failing.fail("CancelledError", "stopped")

    collect(world, manifest, sinks=(Cancelling(), VamsMetadata(world.s3)), steps=("publish",))
    assert "Contents" not in world.s3.list_objects_v2(Bucket=metadata.bucket, Prefix=metadata.key)


def test_an_execution_from_before_there_were_steps_takes_all_of_them_at_once(world: World, failing: Failing) -> None:
    caller = failing.running()
    sink = Noting()
    collect(world, world.leave_outputs(FILES | {RESULTS: results_of(world)}), sinks=(sink,), steps=(None,))
    assert sink.published == [world.run_id]
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"


def test_a_run_succeeds_though_nothing_can_be_noted_of_it(world: World, failing: Failing) -> None:
    caller = failing.running(outputS3AssetMetadataPath="s3://no-such-bucket-anywhere/metadata/")
    collect(world, world.leave_outputs(FILES))
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"


def test_collecting_again_changes_nothing(world: World, failing: Failing) -> None:
    caller = failing.running()
    manifest = world.leave_outputs(FILES)
    cloudwatch = StandInCloudWatch()
    collect(world, manifest, cloudwatch=cloudwatch)
    ended_at = world.record.ended_at
    collect(world, manifest, cloudwatch=cloudwatch)
    assert world.record.ended_at == ended_at
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"
    assert cloudwatch.published == [("SucceededRuns",)]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda world, prefix: world.put((prefix / "checkpoints/model_4.pt").key, b"half"),
            "has 4 bytes, the",
        ),
        (
            lambda world, prefix: world.s3.delete_object(Bucket=prefix.bucket, Key=(prefix / RESULTS).key),
            "results.json is missing",
        ),
        (lambda world, prefix: world.put((prefix / "manifest.json").key, b"{}"), "is not a manifest"),
        (
            lambda world, prefix: world.s3.delete_object(Bucket=prefix.bucket, Key=(prefix / "manifest.json").key),
            "cannot be read",
        ),
        (lambda world, _: world.leave_outputs({RESULTS: b"{}"}), "does not list metrics.csv"),
    ],
    ids=["changed", "missing", "no manifest", "manifest missing", "incomplete"],
)
def test_outputs_that_differ_from_their_manifest_are_no_success(
    world: World, failing: Failing, spoil: Any, said: str
) -> None:
    caller = failing.running()
    manifest = world.leave_outputs(FILES)
    spoil(world, output_prefix_of(world.output_path))
    with pytest.raises(ArtifactError, match=said):
        collect(world, manifest)
    assert world.record.state is RunState.RUNNING
    assert world.is_waiting(caller)


def test_the_manifest_of_another_run_is_no_success(world: World, failing: Failing) -> None:
    failing.running()
    manifest = world.leave_outputs(FILES)
    body = world.s3.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read()
    world.put(manifest.key, body.replace(world.run_id.encode(), b"run-other"))
    with pytest.raises(ArtifactError, match="is the manifest of run-other"):
        collect(world, manifest)


def test_the_results_of_an_attempt_are_no_success_once_another_one_has_begun_to_write_its_own(
    world: World, failing: Failing
) -> None:
    caller = failing.running()
    manifest = world.leave_outputs(FILES)
    assert world.record.attempts == 3
    with pytest.raises(InterruptedRunError, match="attempt 2 of"):
        collect(world, manifest, attempts=2)
    assert world.record.state is RunState.RUNNING

    collect(world, manifest, attempts=3)

    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"


def test_a_run_that_was_cancelled_meanwhile_does_not_succeed(world: World, failing: Failing) -> None:
    failing.running()
    manifest = world.leave_outputs(FILES)
    world.table.update(world.run_id, state=RunState.FAILED, failure=Failure.of(CancelledError("stopped")))
    with pytest.raises(RunRefusedError):
        collect(world, manifest)
    assert world.record.state is RunState.FAILED


def test_a_failure_stops_the_job_is_written_down_and_reaches_the_caller(world: World, failing: Failing) -> None:
    caller = failing.running()
    failure = failing.fail()
    told = world.workflow.ended(caller)
    assert told["error"] == "SimulationError"
    assert told["cause"] == f"the loss is NaN\nWhat it left: {output_prefix_of(world.output_path)}"
    assert failing.batch.ended == ["job-1"]
    assert world.record.state is RunState.FAILED
    assert world.record.failure == failure
    assert world.record.ended_at is not None


def test_handling_a_failure_again_changes_nothing(world: World, failing: Failing) -> None:
    failing.running()
    first = failing.fail()
    failing.fail("States.Timeout", "")
    assert world.record.failure == first
    assert failing.cloudwatch.published == [("FailedRuns",), ("Failures", "SimulationError")]


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_an_end_that_cannot_be_counted_reaches_the_caller_nevertheless(
    world: World, failing: Failing, outcome: str
) -> None:
    caller = failing.running()
    broken = StandInCloudWatch(EndpointConnectionError(endpoint_url="monitoring"))
    if outcome == "success":
        collect(world, world.leave_outputs(FILES), cloudwatch=broken)
    else:
        failing.cloudwatch = broken
        failing.fail()
    assert world.workflow.ended(caller)["status"] == ("SUCCEEDED" if outcome == "success" else "FAILED")
    assert broken.published


def test_a_job_that_cannot_be_stopped_does_not_keep_the_caller_waiting(world: World, failing: Failing) -> None:
    caller = failing.running()
    failing.batch = StandInBatch(EndpointConnectionError(endpoint_url="batch"))
    failing.fail()
    assert world.workflow.ended(caller)["error"] == "SimulationError"


def test_a_failure_before_there_is_a_job_reaches_the_caller(world: World, failing: Failing) -> None:
    caller = world.launched()
    failing.fail("RequestError", json.dumps({"errorMessage": "numEnvs is 0", "errorType": "RequestError"}))
    told = world.workflow.ended(caller)
    assert (told["error"], told["cause"]) == ("RequestError", "numEnvs is 0")
    assert failing.batch.ended == []


def test_a_failure_of_a_run_that_nobody_knows_is_described_and_that_is_all(world: World, failing: Failing) -> None:
    failure = failing.fail()
    assert failure.error == "SimulationError"
    assert failing.batch.ended == []
    assert world.table.get(world.run_id) is None


def test_a_caller_that_is_gone_is_no_error(world: World, failing: Failing) -> None:
    caller = failing.running()
    world.stop(caller)
    failing.fail()
    assert world.record.state is RunState.FAILED


def test_a_success_that_was_cut_off_before_the_caller_knew_stays_a_success(world: World, failing: Failing) -> None:
    caller = failing.running()
    with pytest.raises(ConnectionError):
        collect(world, world.leave_outputs(FILES), Silent(world.stepfunctions))
    failing.fail("Sandbox.Timedout", "Task timed out after 300.00 seconds")
    assert world.workflow.ended(caller)["status"] == "SUCCEEDED"
    assert world.record.state is RunState.SUCCEEDED
    assert world.record.failure is None


def test_a_late_failure_of_an_execution_that_was_replaced_changes_nothing(world: World, failing: Failing) -> None:
    failing.running()
    replaced = failing.execution
    failing.fail()
    failing.batch.ended.clear()
    caller = world.launched()
    failing.fail(execution_arn=replaced)
    assert world.record.state is RunState.ACCEPTED
    assert world.is_waiting(caller)
    assert failing.batch.ended == []
