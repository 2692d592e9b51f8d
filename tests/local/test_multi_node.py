"""Training in several processes through the deployed stacks: on one node, and on two."""

import csv
import time
from pathlib import Path

import pytest

from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import MANIFEST, METRICS, RESULTS, SIMULATOR_LOG, Manifest, Results
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import RunRecord
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json
from tests.processes import kill_processes

pytestmark = pytest.mark.timeout(600)

LOST_NODE_SECONDS = 20.0
"""Far less than any timeout of torch's or the runner's."""
STEPS_OF_TWO = 512
"""In one iteration of rsl_rl: 16 steps of 16 environments in each of two processes."""


def request(compute: Json, **training: object) -> Request:
    return parse_request({"trainingConfig": TINY | training, "computeConfig": compute})


def record_of(plane: ControlPlane, run: StartedRun) -> RunRecord:
    record = plane.runs.record(run.run_id)
    assert record is not None
    return record


def described(plane: ControlPlane, job_id: str) -> Json:
    jobs: list[Json] = plane.batch.describe_jobs(jobs=[job_id])["jobs"]
    return jobs[0]


def log_of(plane: ControlPlane, job_id: str) -> str:
    """Return what the last attempt of a job or node has said."""
    container = described(plane, job_id)["container"]
    events = plane.logs.get_log_events(
        logGroupName=container["logConfiguration"]["options"]["awslogs-group"],
        logStreamName=container["logStreamName"],
        startFromHead=True,
    )["events"]
    return "\n".join(event["message"] for event in events)


def trains_beyond(plane: ControlPlane, run: StartedRun, iterations: int) -> str:
    """Wait until a run has trained so far; return its job's id."""

    def done() -> int:
        record = plane.runs.record(run.run_id)
        return record.progress.done if record is not None and record.progress is not None else 0

    until(lambda: done() >= iterations, RUN_SECONDS)
    job_id = record_of(plane, run).job_id
    assert job_id is not None
    return job_id


def test_two_processes_of_one_node_train_one_policy(plane: ControlPlane) -> None:
    run = plane.runs.start(request({"gpusPerNode": 2}))
    execution = plane.ended(run.execution_arn)

    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    job = described(plane, f"{record_of(plane, run).job_id}")
    assert "nodeProperties" not in job
    # There are none in the embedded deployment.
    assert "GPU" not in {need["type"] for need in job["container"]["resourceRequirements"]}
    assert f"Total steps: {STEPS_OF_TWO}" in log_of(plane, job["jobId"])


@pytest.mark.slow
def test_two_nodes_train_one_policy_of_which_one_reports_though_a_node_is_lost(
    plane: ControlPlane, tmp_path: Path
) -> None:
    total = 40
    run = plane.runs.start(request({"numNodes": 2}, maxIterations=total, checkpointInterval=10))
    job_id = trains_beyond(plane, run, 12)
    kill_processes("AWS_BATCH_JOB_ID", f"{job_id}#1")
    lost_at = time.time()

    execution = plane.ended(run.execution_arn)

    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    # The job reports before it ends.
    until(lambda: described(plane, job_id)["status"] == "SUCCEEDED", RUN_SECONDS)
    assert described(plane, job_id)["nodeProperties"]["numNodes"] == 2
    first, second = described(plane, job_id)["attempts"]
    assert first["stoppedAt"] / 1000 - lost_at < LOST_NODE_SECONDS
    assert (first["container"]["exitCode"], second["container"]["exitCode"]) == (11, 0)
    nodes = [described(plane, f"{job_id}#{index}") for index in range(2)]
    assert [(node["status"], node["container"]["exitCode"]) for node in nodes] == [("SUCCEEDED", 0)] * 2
    assert f"Total steps: {total * STEPS_OF_TWO}" in log_of(plane, f"{job_id}#0")
    assert "uploaded" not in log_of(plane, f"{job_id}#1")
    plane.runs.fetch(run.output_files, tmp_path)
    files = {entry.path for entry in Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()).files}
    assert {"checkpoints/model_39.pt", "exported/policy.onnx", SIMULATOR_LOG} <= files
    assert "simulator-node-1.log" not in files
    results = Results.model_validate_json((tmp_path / RESULTS).read_bytes())
    assert results.attempts == 2
    assert results.training is not None
    assert results.training.iterations == total
    with (tmp_path / METRICS).open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(total))
