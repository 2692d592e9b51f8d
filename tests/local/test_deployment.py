"""The stacks, deployed to the embedded AWS with the real CDK command line."""

from pathlib import Path
from typing import Any

import pytest

from gaitway.local.cdk import CdkDeployer, DeployError
from gaitway.local.launcher import LocalAws, LocalSession
from gaitway.names import DEFAULT_NAMES


def client(local_aws: LocalAws, service: str) -> Any:
    return LocalSession(local_aws.endpoint_url).client(service)


def test_every_stack_is_complete(local_aws: LocalAws) -> None:
    stacks = client(local_aws, "cloudformation").describe_stacks()["Stacks"]
    status = {stack["StackName"]: stack["StackStatus"] for stack in stacks}
    assert {name: status[name] for name in DEFAULT_NAMES.stacks} == dict.fromkeys(
        DEFAULT_NAMES.stacks, "CREATE_COMPLETE"
    )


def test_the_outputs_name_what_exists(local_aws: LocalAws) -> None:
    deployment = local_aws.deployment
    stepfunctions = client(local_aws, "stepfunctions")
    for arn in (deployment.pipeline_arn, deployment.workflow_arn):
        assert stepfunctions.describe_state_machine(stateMachineArn=arn)["status"] == "ACTIVE"
    client(local_aws, "lambda").get_function(FunctionName=deployment.launch_function_name)
    client(local_aws, "s3").head_bucket(Bucket=deployment.asset_bucket_name)
    client(local_aws, "dynamodb").describe_table(TableName=deployment.run_table_name)
    [queue] = client(local_aws, "batch").describe_job_queues(jobQueues=[deployment.job_queue_arn])["jobQueues"]
    assert queue["state"] == "ENABLED"


def test_a_failing_command_shows_what_it_said(tmp_path: Any) -> None:
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.raises(DeployError, match="`cdk bootstrap` failed"):
        CdkDeployer(tmp_path).deploy(nobody, lambda line: None)


@pytest.mark.parametrize("place", [0, 150, 299])
def test_a_reason_is_shown_wherever_a_long_rollback_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """CloudFormation's events of one second come in any order. Another program stands for the command line."""
    lines = [
        f"GaitwayCompute |  9 | 10:45:11 PM | DELETE_COMPLETE | AWS::Batch::JobQueue | Queue{n}" for n in range(300)
    ]
    lines[place] = "GaitwayCompute |  9 | 10:45:11 PM | UPDATE_FAILED | AWS::CloudFormation::Stack | it is in use"
    text = "\n".join(lines)
    program = tmp_path / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}\nEOF\nexit 1\n")
    program.chmod(0o755)
    deployer = CdkDeployer(tmp_path)
    monkeypatch.setattr("gaitway.local.cdk.REPOSITORY_ROOT", tmp_path)
    with pytest.raises(DeployError, match="it is in use") as raised:
        deployer.bootstrap({}, lambda line: None)
    assert len(str(raised.value).splitlines()) <= 42
