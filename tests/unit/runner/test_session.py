"""A run's session may do what the run needs, and its policy is never longer than AWS takes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from container.runner.session import record_policy, run_policy
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig, TrainingConfig
from gaitway.contracts.run import RunRecord, RunSpec, RunState

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:gaitway-pipeline:run-1-abc"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:gaitway-pipeline"


def record(**uris: S3Uri) -> RunRecord:
    files: dict[str, Any] = {"output_files": S3Uri("assets", "a/output/1/files/1/")} | uris
    spec = RunSpec(run_id="run-1", training=TrainingConfig(), compute=ComputeConfig(), **files)
    now = datetime.now(UTC)
    return RunRecord(
        run_id="run-1", state=RunState.QUEUED, created_at=now, updated_at=now, execution_arn=EXECUTION, spec=spec
    )


def statements(policy: str) -> dict[str, Any]:
    """What is allowed, by action."""
    return {
        action: statement["Resource"] for statement in json.loads(policy)["Statement"] for action in statement["Action"]
    }


def test_only_the_runs_own_items_are_read() -> None:
    (statement,) = json.loads(record_policy("run-1"))["Statement"]
    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["run-1"]}}


def test_outputs_are_written_inputs_are_read_and_the_own_machine_is_answered() -> None:
    run = record(policy=S3Uri("inputs", "p/model_9.pt"), output_metadata=S3Uri("assets", "metadata"))

    policy = run_policy(run, "aws-cn")

    allowed = statements(policy)
    # What VAMS is to note is not the job's to say.
    assert allowed["s3:PutObject"] == "arn:aws-cn:s3:::assets/a/output/1/files/1/*"
    assert allowed["s3:GetObject"] == ["arn:aws-cn:s3:::inputs/p/model_9.pt"]
    assert allowed["states:SendTaskSuccess"] == allowed["states:SendTaskFailure"] == MACHINE
    assert allowed["states:SendTaskHeartbeat"] == "*"


@pytest.mark.parametrize("run", [None, record()])
def test_metrics_are_published_in_our_namespace_only(run: RunRecord | None) -> None:
    (statement,) = [
        statement
        for statement in json.loads(run_policy(run, "aws"))["Statement"]
        if "cloudwatch:PutMetricData" in statement["Action"]
    ]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Gaitway"}}


@pytest.mark.parametrize("run", [None, record().model_copy(update={"spec": None})])
def test_a_run_without_a_specification_touches_no_file(run: RunRecord | None) -> None:
    assert "s3:" not in run_policy(run, "aws")


def test_long_names_leave_their_beginning_and_their_end() -> None:
    long = "/".join(["ünïcode${aws:username}" * 8] * 6)[:1000]
    inputs = {name: S3Uri("b" * 63, f"{name}/{long}/end.pt") for name in ("policy", "resume_checkpoint")}

    policy = run_policy(record(output_files=S3Uri("b" * 63, f"p/{long}/uuid/"), **inputs), "aws")

    assert len(policy) <= 2048
    assert "${" not in policy
    output = statements(policy)["s3:PutObject"]
    assert output.startswith(f"arn:aws:s3:::{'b' * 63}/p/")
    assert output.endswith("/uuid/*")
