"""A run's session may do what the run needs, and its policy is never longer than AWS takes."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from gaitway.contracts.inputs import InputFile
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.session import _session, record_policy, run_policies

NAMESPACE = DEFAULT_NAMES.metrics_namespace

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:gaitway-pipeline:run-1-abc"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:gaitway-pipeline"


def record(inputs: dict[str, S3Uri] | None = None, **uris: S3Uri) -> RunRecord:
    files: dict[str, Any] = {"output_files": S3Uri("assets", "a/output/1/files/1/")} | uris
    found = {name: InputFile(uri=uri) for name, uri in (inputs or {}).items()}
    spec = RunSpec(run_id="run-1", training=TrainingConfig(), compute=ComputeConfig(), inputs=found, **files)
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
    run = record({"policy": S3Uri("inputs", "p/model_9.pt")}, output_metadata=S3Uri("assets", "metadata"))

    policy = next(run_policies(run, "aws-cn", NAMESPACE))

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
        for statement in json.loads(next(run_policies(run, "aws", NAMESPACE)))["Statement"]
        if "cloudwatch:PutMetricData" in statement["Action"]
    ]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Gaitway"}}


@pytest.mark.parametrize("run", [None, record().model_copy(update={"spec": None})])
def test_a_run_without_a_specification_touches_no_file(run: RunRecord | None) -> None:
    assert "s3:" not in next(run_policies(run, "aws", NAMESPACE))


def test_long_names_leave_their_beginning_and_their_end() -> None:
    long = "/".join(["ünïcode${aws:username}" * 8] * 6)[:1000]
    inputs = {name: S3Uri("b" * 63, f"{name}/{long}/end.pt") for name in ("policy", "resume_checkpoint")}

    policy = next(run_policies(record(inputs, output_files=S3Uri("b" * 63, f"p/{long}/uuid/")), "aws", NAMESPACE))

    assert len(policy) <= 2048
    assert "${" not in policy
    output = statements(policy)["s3:PutObject"]
    assert output.startswith(f"arn:aws:s3:::{'b' * 63}/p/")
    assert output.endswith("/uuid/*")


def test_each_further_policy_is_shorter_and_none_reaches_another_run() -> None:
    name, other = (f"{'robots/' * 100}output/{uuid.uuid4()}/files/{uuid.uuid4()}/" for _ in range(2))
    inputs = {field: S3Uri("b", f"{'robots/' * 100}{field}/model.pt") for field in ("policy", "resume_checkpoint")}

    policies = list(run_policies(record(inputs, output_files=S3Uri("b", name)), "aws", NAMESPACE))

    assert len(policies) > 2
    assert [len(policy) for policy in policies] == sorted({len(policy) for policy in policies}, reverse=True)
    for policy in policies:
        output = statements(policy)["s3:PutObject"]
        assert fnmatchcase(f"arn:aws:s3:::b/{name}metrics.csv", output)
        assert not fnmatchcase(f"arn:aws:s3:::b/{other}metrics.csv", output)


def token_of(session: boto3.Session) -> str | None:
    """Fetch a session's credentials."""
    credentials = session.get_credentials()
    assert credentials is not None
    return credentials.get_frozen_credentials().token


class Sts:
    """AssumeRole, with room for policies of some length only."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.policies: list[str] = []

    def assume_role(self, *, Policy: str, **_: Any) -> Any:  # noqa: N803
        self.policies.append(Policy)
        if len(Policy) > self.room:
            message = "Packed policy consumes 120% of allotted space"
            raise ClientError({"Error": {"Code": "PackedPolicyTooLarge", "Message": message}}, "AssumeRole")
        in_an_hour = datetime.now(UTC) + timedelta(hours=1)
        keys = {"AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token", "Expiration": in_an_hour}
        return {"Credentials": keys}


def test_a_policy_that_is_too_large_in_aws_own_form_is_halved_again() -> None:
    run = record(output_files=S3Uri("b", f"{'robots/' * 100}{uuid.uuid4()}/"))
    exact = next(run_policies(run, "aws", NAMESPACE))
    sts: Any = Sts(room=len(exact) - 300)

    assert token_of(_session(sts, "role", "run-1", lambda: run_policies(run, "aws", NAMESPACE))) == "token"
    assert sts.policies[0] == exact
    assert len(sts.policies[-1]) <= sts.room


def test_a_policy_that_never_fits_is_an_error_and_no_wider_one_is_asked_for() -> None:
    sts: Any = Sts(room=0)
    session = _session(sts, "role", "run-1", lambda: run_policies(record(), "aws", NAMESPACE))
    with pytest.raises(ClientError, match="PackedPolicyTooLarge"):
        token_of(session)
    assert sts.policies == list(run_policies(record(), "aws", NAMESPACE))
