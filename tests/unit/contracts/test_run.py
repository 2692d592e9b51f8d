"""The identity of a run, and where its outputs go."""

import re
from datetime import UTC, datetime

import pytest

from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import (
    RunExecution,
    RunRecord,
    RunResult,
    RunSpec,
    RunState,
    output_prefix_of,
    run_id_of,
    run_id_of_job,
    to_json,
    workflow_output_path,
)
from gaitway.contracts.workload import TrainingConfig


def test_a_run_keeps_its_id_for_ever() -> None:
    # Records and directories of deployed systems are found by it.
    assert run_id_of(S3Uri("assets", "p/output/1/files/")) == "run-43d47ae110cb3b1d72a8"


def test_runs_that_write_elsewhere_have_other_ids() -> None:
    paths = [S3Uri("assets", f"p/output/{number}/files/") for number in range(100)]
    assert len({run_id_of(path) for path in paths}) == 100


def test_an_id_serves_as_a_name_in_batch_step_functions_and_on_disk() -> None:
    assert re.fullmatch(r"run-[0-9a-f]{20}", run_id_of(S3Uri("assets", "a b/ü/*")))


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("p/output/8a-1/files/", "p/output/8a-1/files/8a-1/"),
        ("output/8a-1/files/", "output/8a-1/files/8a-1/"),
        ("p/output/8a-1/files", "p/output/8a-1/files/8a-1/"),
        ("p/results/", "p/results/"),
        ("p/results", "p/results/"),
        ("p/myoutput/1/files/", "p/myoutput/1/files/"),
    ],
)
def test_outputs_go_below_the_uuid_where_the_path_has_one(path: str, prefix: str) -> None:
    assert output_prefix_of(S3Uri("assets", path)) == S3Uri("assets", prefix)


def test_the_workflows_own_path_has_one() -> None:
    assert output_prefix_of(workflow_output_path("assets", "e1")).key == "runs/e1/output/e1/files/e1/"


def test_a_caller_is_told_where_the_results_are() -> None:
    now = datetime.now(UTC)
    spec = RunSpec(
        run_id="run-1", training=TrainingConfig(), compute=ComputeConfig(), output_files=S3Uri("assets", "out/")
    )
    record = RunRecord(run_id="run-1", state=RunState.SUCCEEDED, created_at=now, updated_at=now, spec=spec)
    assert to_json(RunResult.of(record)) == {
        "jobId": "run-1",
        "status": "SUCCEEDED",
        "outputPath": "s3://assets/out/",
        "manifest": "s3://assets/out/manifest.json",
    }


MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:gaitway-pipeline"


def test_a_run_leads_to_its_job_by_name_and_back() -> None:
    execution = RunExecution.begun_by("token-1", run_id := run_id_of(S3Uri("b", "p/")), MACHINE)
    assert (execution.run_id, execution.machine_arn) == (run_id, MACHINE)
    assert run_id_of_job(execution.job_name) == run_id
    assert RunExecution.begun_by("token-1", run_id, MACHINE) == execution
    assert RunExecution.begun_by("token-2", run_id, MACHINE).job_name != execution.job_name


@pytest.mark.parametrize("name", ["", "somebody-elses", "run-1-2", "run-0123456789abcdef0123", "a-run-of-mine-x"])
def test_a_job_of_another_name_belongs_to_no_run(name: str) -> None:
    assert run_id_of_job(name) is None


def test_a_run_awaits_the_job_of_its_own_execution_until_it_ends() -> None:
    execution = RunExecution.begun_by("token-1", "run-1", MACHINE)
    now = datetime.now(UTC)
    record = RunRecord(
        run_id="run-1", state=RunState.QUEUED, created_at=now, updated_at=now, execution_arn=execution.arn
    )
    assert record.awaits("job-1", execution.job_name)
    assert not record.awaits("job-1", RunExecution.begun_by("token-2", "run-1", MACHINE).job_name)
    named = record.model_copy(update={"job_id": "job-1"})
    assert named.awaits("job-1", execution.job_name)
    assert not named.awaits("job-2", execution.job_name)
    assert not named.model_copy(update={"state": RunState.FAILED}).awaits("job-1", execution.job_name)
    assert not record.model_copy(update={"execution_arn": None}).awaits("job-1", execution.job_name)
