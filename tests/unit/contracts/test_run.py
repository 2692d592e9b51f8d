"""The identity of a run, and where its outputs go."""

import re
from datetime import UTC, datetime

import pytest

from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig, TrainingConfig, VamsMessage
from gaitway.contracts.run import (
    RunRecord,
    RunResult,
    RunSpec,
    RunState,
    output_prefix_of,
    output_prefix_of_step,
    run_id_of,
    run_id_of_message,
    to_json,
    workflow_output_path,
)


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


VAMS_PATH = S3Uri("assets", "pipelines/train/1-train/output/8a-1/files/")


def second_step(**parameters: object) -> VamsMessage:
    """As VAMS asks for a workflow's second step: its input is what the first one wrote."""
    return VamsMessage(
        output_s3_asset_files_path=VAMS_PATH,
        input_s3_asset_file_path=VAMS_PATH,
        input_parameters={"trainingConfig": parameters},
    )


def test_the_first_step_of_a_workflow_is_the_run_of_its_output_path() -> None:
    message = VamsMessage(output_s3_asset_files_path=VAMS_PATH, input_s3_asset_file_path=S3Uri("assets", "a/robot.usd"))
    assert run_id_of_message(message) == run_id_of(VAMS_PATH)
    assert output_prefix_of_step(message, "train", "run-1") == output_prefix_of(VAMS_PATH)


def test_further_steps_of_a_workflow_are_runs_of_their_own_and_write_beside_it() -> None:
    steps = [second_step(mode="evaluate", seed=seed) for seed in (1, 2)]
    run_ids = [run_id_of_message(step) for step in steps]
    assert len({*run_ids, run_id_of(VAMS_PATH)}) == 3
    prefixes = [output_prefix_of_step(step, "evaluate", run_id) for step, run_id in zip(steps, run_ids, strict=True)]
    assert len({*prefixes, output_prefix_of(VAMS_PATH)}) == 3
    for prefix in prefixes:
        assert re.fullmatch(f"{VAMS_PATH.key}evaluate-[0-9a-f]{{8}}/", prefix.key)


def test_a_step_that_is_tried_again_means_the_same_run() -> None:
    assert run_id_of_message(second_step(seed=1)) == run_id_of_message(second_step(seed=1))


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
