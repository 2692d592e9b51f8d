"""Runs on SageMaker: submitted as service jobs of AWS Batch, run as training jobs of the embedded AWS."""

from __future__ import annotations

import csv
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gaitway.cli import main
from gaitway.client.logs import RunLogs
from gaitway.client.runs import StartedRun
from gaitway.commands import Commands
from gaitway.contracts.artifacts import METRICS, RESULTS, SYNCHRONISATION_MARKS, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunRecord, RunState
from gaitway.local.extensions.sagemaker import INTERRUPT
from gaitway.local.extensions.sagemaker.validation import check_training_job
from gaitway.local.launcher import STATE_VARIABLE, LocalAws
from gaitway.names import CHECKPOINTS_PATH, DEFAULT_NAMES, SYNCHRONISED_RUNS
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json
from tests.processes import kill_processes

pytestmark = pytest.mark.timeout(600)

TOTAL = 120
"""Iterations of a training that is interrupted: enough to be caught at work."""


def start(plane: ControlPlane, compute: Json | None = None, **training: Any) -> StartedRun:
    """Ask for a run on SageMaker."""
    request = {"trainingConfig": TINY | training, "computeConfig": {"backend": "sagemaker"} | (compute or {})}
    return plane.runs.start(parse_request(request))


def record_of(plane: ControlPlane, run: StartedRun) -> RunRecord:
    """Read the record of a run that was constructed."""
    record = plane.table.get(run.run_id)
    assert record is not None
    return record


def service_job(plane: ControlPlane, run: StartedRun) -> Json:
    """Describe the job of a run, as Batch does."""
    job_id = record_of(plane, run).job_id
    assert job_id is not None
    assert job_id.startswith("sagemaker/")
    job: Json = plane.batch.describe_service_job(jobId=job_id.removeprefix("sagemaker/"))
    return job


def training_name(plane: ControlPlane, run: StartedRun) -> str:
    """Name the newest training job of a run."""
    return str(service_job(plane, run)["latestAttempt"]["serviceResourceId"]["value"].rpartition("/")[2])


def succeed(plane: ControlPlane, run: StartedRun) -> None:
    """Wait for the success of a run, and of its job."""
    execution = plane.ended(run.execution_arn)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    until(lambda: service_job(plane, run)["status"] == "SUCCEEDED", RUN_SECONDS)


def trains(plane: ControlPlane, run: StartedRun) -> None:
    """Wait until a run has trained a few iterations."""

    def done() -> int:
        record = plane.table.get(run.run_id)
        return record.progress.done if record is not None and record.progress is not None else 0

    until(lambda: done() >= 3, RUN_SECONDS)


def results_of(plane: ControlPlane, run: StartedRun) -> Results:
    """Read the results of a run."""
    place = record_of(plane, run).output_files
    assert place is not None
    body = plane.s3.get_object(Bucket=place.bucket, Key=(place / RESULTS).key)["Body"].read()
    return Results.model_validate_json(body)


def iterations_of(plane: ControlPlane, run: StartedRun) -> list[int]:
    """Read which iterations a run's metrics have."""
    place = record_of(plane, run).output_files
    assert place is not None
    text = plane.s3.get_object(Bucket=place.bucket, Key=(place / METRICS).key)["Body"].read().decode()
    return [int(float(row["step"])) for row in csv.DictReader(text.splitlines())]


@contextmanager
def deployed_with(local_aws: LocalAws, change: Callable[[Json], None]) -> Iterator[None]:
    """Change what all training jobs have in common, as another deployment would, for a while."""
    session: Any = local_aws.session()
    ssm, name = session.client("ssm"), DEFAULT_NAMES.training_template
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    template = json.loads(before)
    change(template)
    ssm.put_parameter(Name=name, Value=json.dumps(template), Type="String", Overwrite=True)
    try:
        yield
    finally:
        ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


@pytest.fixture(params=["efs", "checkpoints"])
def storage(request: pytest.FixtureRequest, plane: ControlPlane, local_aws: LocalAws) -> Iterator[str]:
    """Deployed with each `sagemakerStorage`: tests/infra/test_training_jobs.py shows that the stacks deploy this."""
    if request.param == "efs":
        yield "efs"
        return

    def without_efs(template: Json) -> None:
        template["runsUri"] = f"s3://{plane.bucket}/{SYNCHRONISED_RUNS}"
        del template["trainingJob"]["VpcConfig"], template["trainingJob"]["InputDataConfig"]
        template["trainingJob"]["Environment"]["GAITWAY_EFS_ROOT"] = CHECKPOINTS_PATH

    session: Any = local_aws.session()
    role = {"RoleName": DEFAULT_NAMES.training_role(session.region_name), "PolicyName": "synchronise"}
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = session.client("iam")
    iam.put_role_policy(**role, PolicyDocument=document)
    with deployed_with(local_aws, without_efs):
        yield "checkpoints"
    iam.delete_role_policy(**role)


def has_saved(plane: ControlPlane, run: StartedRun, storage: str) -> None:
    """Wait until a run has trained a few iterations, and could resume after the loss of its machine."""
    trains(plane, run)
    if storage == "checkpoints":
        prefix = f"{SYNCHRONISED_RUNS}{run.run_id}/"

        def synchronised() -> list[str]:
            pages = plane.s3.get_paginator("list_objects_v2").paginate(Bucket=plane.bucket, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", [])]

        until(lambda: any(key.endswith(".pt") for key in synchronised()), RUN_SECONDS)


def test_a_training_goes_through_batch_and_sagemaker_to_its_results(plane: ControlPlane, local_aws: LocalAws) -> None:
    run = start(plane)
    succeed(plane, run)
    record = record_of(plane, run)
    assert record.machine is not None
    assert (record.machine.instance_type, record.machine.usd_per_hour) == ("ml.g6.2xlarge", 1.222)
    assert record.cost is not None
    job = service_job(plane, run)
    assert (job["status"], job["shareIdentifier"], len(job["attempts"])) == ("SUCCEEDED", "ungrouped", 1)
    assert job["tags"] | {"GaitwayRun": run.run_id, "GaitwayDeployment": "gaitway"} == job["tags"]
    commands = Commands(DEFAULT_NAMES, is_embedded=True)
    logs = RunLogs(local_aws.session(), commands, plane.deployment.run_table_name)
    stream = logs.stream(record)
    assert stream is not None
    assert any("Trained iterations: 2/2" in event.message for event in logs.read(stream))


def test_a_failure_is_told_to_the_caller_and_to_sagemaker_and_attempted_once(plane: ControlPlane) -> None:
    run = start(plane, task="Isaac-Nothing-Direct-v0")
    execution = plane.ended(run.execution_arn)
    assert execution["status"] == "FAILED"
    record = record_of(plane, run)
    assert record.failure is not None
    assert "Isaac-Nothing-Direct-v0" in record.failure.cause
    until(lambda: service_job(plane, run)["status"] == "FAILED", RUN_SECONDS)
    assert len(service_job(plane, run)["attempts"]) == 1


@pytest.mark.usefixtures("storage")
def test_a_cancelled_training_is_asked_to_end_and_its_caller_is_told(plane: ControlPlane) -> None:
    run = start(plane, maxIterations=100_000)
    trains(plane, run)
    plane.runs.cancel(plane.runs.find(run.run_id))
    assert plane.ended(run.execution_arn)["status"] in ("FAILED", "ABORTED")
    until(lambda: record_of(plane, run).state.ended, RUN_SECONDS)
    record = record_of(plane, run)
    assert record.failure is not None
    assert (record.state, record.failure.error) == (RunState.FAILED, "CancelledError")
    until(lambda: service_job(plane, run)["status"] == "FAILED", RUN_SECONDS)
    job = service_job(plane, run)
    assert (job["isTerminated"], len(job["attempts"])) == (True, 1)


@pytest.mark.slow
def test_a_run_that_has_used_up_its_budget_ends_once_and_has_used_its_groups_share(plane: ControlPlane) -> None:
    compute = {"backend": "sagemaker", "maxCostUsd": 0.002}
    request = {"trainingConfig": TINY | {"maxIterations": 100_000}, "computeConfig": compute, "groupId": "legs.2"}
    run = plane.runs.start(parse_request(request))
    assert plane.ended(run.execution_arn)["status"] == "FAILED"
    record = record_of(plane, run)
    assert record.failure is not None
    assert record.failure.error == "BudgetExceededError"
    assert record.cost is not None
    assert record.cost.usd >= 0.002
    until(lambda: service_job(plane, run)["status"] == "FAILED", RUN_SECONDS)
    job = service_job(plane, run)
    assert (len(job["attempts"]), job["shareIdentifier"], job["schedulingPriority"]) == (1, "legs2", 1)
    assert job["tags"]["GaitwayGroup"] == "legs.2"


def test_what_does_not_fit_is_refused_before_a_job_exists(plane: ControlPlane) -> None:
    run = start(plane, {"gpusPerNode": 8})
    assert plane.ended(run.execution_arn)["status"] == "FAILED"
    record = record_of(plane, run)
    assert record.failure is not None
    assert (record.failure.error, record.job_id) == ("RequestError", None)
    assert "gpusPerNode is 8, allowed here: 1, 2, 3, 4 (what fits the deployed sagemaker" in record.failure.cause


def test_what_is_generated_is_a_training_job_that_aws_takes(
    plane: ControlPlane, local_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(local_state))
    (tmp_path / "mine.json").write_text(json.dumps({"trainingConfig": TINY}))
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(tmp_path / "mine.json"), "--backend", "sagemaker", "-o", str(tmp_path), "--local"])
    assert not ended.value.code
    written = json.loads((tmp_path / "create-training-job.json").read_text())
    check_training_job(written)
    sent = json.loads((tmp_path / "submit-service-job.json").read_text())
    assert json.loads(sent["serviceRequestPayload"]) == written
    assert sent["jobQueue"] == DEFAULT_NAMES.training_queue


@pytest.mark.slow
def test_a_training_whose_machine_is_lost_resumes_to_its_fixed_total_and_is_evaluated(
    plane: ControlPlane, storage: str
) -> None:
    run = start(plane, maxIterations=TOTAL, checkpointInterval=1)
    has_saved(plane, run, storage)
    kill_processes("TRAINING_JOB_NAME", training_name(plane, run))
    succeed(plane, run)
    assert record_of(plane, run).attempts == 2
    job = service_job(plane, run)
    assert [one["statusReason"].rpartition(" ")[2] for one in job["attempts"]] == ["137", "completed"]
    assert iterations_of(plane, run)[-1] == TOTAL - 1
    attempts = results_of(plane, run).history.attempts  # type: ignore[union-attr]
    assert attempts[1].resumed_from > 0

    output = record_of(plane, run).output_files
    assert output is not None
    request = {
        "trainingConfig": {"mode": "evaluate", "task": TINY["task"], "numEnvs": 8, "numEpisodes": 8},
        "computeConfig": {"backend": "sagemaker"},
    }
    evaluation = plane.runs.start(parse_request(request), input_file=output / METRICS)
    succeed(plane, evaluation)
    assert record_of(plane, evaluation).job_id is not None


@pytest.fixture
def on_spot(storage: str, local_aws: LocalAws) -> Iterator[str]:
    """Deployed as with `useSpot`, on each storage: training jobs are on Spot until the test is over."""

    def spot(template: Json) -> None:
        template["waitSeconds"] = 600
        template["trainingJob"]["EnableManagedSpotTraining"] = True
        template["trainingJob"]["Environment"]["GAITWAY_MANAGED_SPOT"] = "true"

    with deployed_with(local_aws, spot):
        yield storage


@pytest.mark.slow
def test_a_spot_interruption_costs_what_was_trained_since_the_newest_checkpoint(
    plane: ControlPlane, local_aws: LocalAws, on_spot: str
) -> None:
    run = start(plane, maxIterations=TOTAL, checkpointInterval=1)
    has_saved(plane, run, on_spot)
    name = training_name(plane, run)
    urllib.request.urlopen(f"{local_aws.endpoint_url}{INTERRUPT}{name}").close()  # noqa: S310
    succeed(plane, run)
    record = record_of(plane, run)
    assert record.machine is not None
    assert (record.machine.purchase, record.attempts) == ("spot", 2)
    # One training job, which SageMaker restarted: to Batch it was one attempt.
    assert (training_name(plane, run), len(service_job(plane, run)["attempts"])) == (name, 1)
    assert iterations_of(plane, run)[-1] == TOTAL - 1
    attempts = results_of(plane, run).history.attempts  # type: ignore[union-attr]
    assert attempts[1].resumed_from > 0


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("plane")
def test_the_acceptance_check_passes(
    local_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(local_state))
    with pytest.raises(SystemExit) as ended:
        main(["acceptance", "--only", "sagemaker", "--yes", "--local", "-o", str(tmp_path / "page.html")])
    assert not ended.value.code, capsys.readouterr().err
    (check,) = json.loads((tmp_path / "page.json").read_text())["checks"]
    assert (check["name"], check["status"]) == ("sagemaker", "passed")


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["checkpoints"], indirect=True)
def test_a_training_without_efs_leaves_what_one_with_it_leaves(plane: ControlPlane, storage: str) -> None:
    run = start(plane)
    succeed(plane, run)
    results = results_of(plane, run)
    assert (results.status, results.warnings, storage) == ("succeeded", [], "checkpoints")
    place = record_of(plane, run).output_files
    assert place is not None
    listed = plane.s3.list_objects_v2(Bucket=place.bucket, Prefix=place.key)["Contents"]
    assert not [item["Key"] for item in listed if item["Key"].endswith(SYNCHRONISATION_MARKS)]


@pytest.mark.slow
def test_two_hosts_train_one_policy(plane: ControlPlane) -> None:
    run = start(plane, {"numNodes": 2})
    succeed(plane, run)
    record = record_of(plane, run)
    assert record.machine is not None
    assert record.machine.nodes == 2
