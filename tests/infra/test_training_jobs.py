"""SageMaker beside AWS Batch: what is deployed for it, and that nothing is where it is not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from gaitway.compute.jobs import JobRequest
from gaitway.compute.training_job import TrainingJobTemplate, submission, training_job
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.request import ComputeConfig
from gaitway.local.extensions.sagemaker.validation import check_training_job
from gaitway.settings import Settings, load_settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import settings_of
from tests.infra.templates import ROOT, Synthesis, batch_arn

_LIMIT = 8192
"""Of an advanced parameter: docs.aws.amazon.com/general/latest/gr/ssm.html"""


@pytest.fixture(scope="session")
def both(synthesise: Synthesise) -> Synthesis:
    """A deployment with SageMaker: its checks by cdk-nag have passed."""
    return synthesise(settings())


def settings(**further: str) -> Settings:
    return load_settings({"acceptNvidiaEula": "true", "backends": "batch,sagemaker"} | further, ROOT)


def template(both: Synthesis) -> TrainingJobTemplate:
    """Read the parameter as it is once CloudFormation has put values where references stand."""
    parameter = both.resource("AWS::SSM::Parameter", "TrainingJobs")
    text = both.text("GaitwayCompute", parameter.properties["Value"])
    replaced = (
        ("<TrainingJobs/Role.Arn>", "arn:aws:iam::123456789012:role/gaitway-training-job-eu-west-1"),
        ("<RunFileSystem/FileSystem>", "fs-0123456789abcdef0"),
    )
    for reference, value in replaced:
        text = text.replace(reference, value)
    return TrainingJobTemplate.model_validate_json(text)


def test_without_it_nothing_of_it_is_deployed(aws: Synthesis) -> None:
    # An alarm's description names the setting that may be the cause.
    text = json.dumps(aws.templates).replace("sagemakerMaxInstances", "")
    for word in ("sagemaker", "ServiceEnvironment", "ServiceJob", "SchedulingPolicy", "GAITWAY_FURTHER_BACKENDS"):
        assert word not in text


def test_jobs_wait_in_a_queue_with_fair_shares_and_a_limit(both: Synthesis) -> None:
    environment = both.resource("AWS::Batch::ServiceEnvironment").properties
    assert environment["CapacityLimits"] == [{"CapacityUnit": "NUM_INSTANCES", "MaxCapacity": 4}]
    queue = both.resource("AWS::Batch::JobQueue", "TrainingJobs").properties
    assert (queue["JobQueueName"], queue["JobQueueType"]) == ("gaitway-training", "SAGEMAKER_TRAINING")
    assert "SchedulingPolicyArn" in queue
    rule = both.resource("AWS::Events::Rule", "TrainingEnded").properties["EventPattern"]
    assert rule["detail-type"] == ["Batch Service Job State Change"]
    assert [both.text("GaitwayPipeline", one) for one in rule["detail"]["jobQueue"]] == [
        batch_arn("job-queue", "gaitway-training")
    ]


@pytest.mark.parametrize(("gpus", "nodes"), [(1, 1), (4, 2)])
def test_what_is_submitted_is_what_aws_takes(both: Synthesis, gpus: int, nodes: int) -> None:
    compute = ComputeConfig(backend="sagemaker", gpus_per_node=gpus, num_nodes=nodes)
    job = JobRequest(f"run-{'0' * 20}-{'a' * 12}", f"run-{'0' * 20}", compute, 28_200, "Isaac-Ant-v0", "a group.1")
    written = training_job(job, template(both))
    assert written["ResourceConfig"]["InstanceType"] == {1: "ml.g6.2xlarge", 4: "ml.g6.12xlarge"}[gpus]
    payload = {**written, "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}
    payload["OutputDataConfig"] = {"S3OutputPath": "s3://assets/sagemaker/"}
    check_training_job(payload)
    shape: Any = botocore.session.Session().get_service_model("batch").operation_model("SubmitServiceJob").input_shape
    validate_parameters(submission(job, template(both)), shape)


def test_the_template_fits_into_a_parameter(both: Synthesis) -> None:
    parameter = both.resource("AWS::SSM::Parameter", "TrainingJobs").properties
    assert parameter["Tier"] == "Intelligent-Tiering"
    assert len(both.text("GaitwayCompute", parameter["Value"])) < _LIMIT / 1.5


def test_spot_waits_and_is_said_to_the_runner(synthesise: Synthesise) -> None:
    found = template(synthesise(settings(useSpot="true")))
    assert found.wait_seconds > 0
    assert found.training_job["EnableManagedSpotTraining"] is True
    assert found.training_job["Environment"]["GAITWAY_MANAGED_SPOT"] == "true"


@pytest.fixture(scope="session")
def synchronised(synthesise: Synthesise) -> Synthesis:
    """A deployment where SageMaker does not mount the file system."""
    return synthesise(settings(sagemakerStorage="checkpoints"))


def test_without_efs_a_training_job_has_a_prefix_of_its_run_and_no_vpc(synchronised: Synthesis) -> None:
    found = template(synchronised)
    run_id = f"run-{'0' * 20}"
    compute = ComputeConfig(backend="sagemaker")
    written = training_job(JobRequest(f"{run_id}-{'a' * 12}", run_id, compute, 28_200, "Isaac-Ant-v0", None), found)
    assert {"VpcConfig", "InputDataConfig"}.isdisjoint(written)
    local = f"/opt/ml/checkpoints/runs/{run_id}"
    assert written["CheckpointConfig"] == {"S3Uri": f"{found.runs_uri}{run_id}/", "LocalPath": local}
    assert Path(local) == run_directory(Path(written["Environment"]["GAITWAY_EFS_ROOT"]), run_id)
    payload = json.loads(json.dumps(written).replace("<AssetBucket/Assets>", "assets"))
    check_training_job(payload)


def test_without_efs_a_role_may_use_the_prefix_of_runs_and_the_file_system_stays_closed(
    both: Synthesis, synchronised: Synthesis
) -> None:
    def actions(one: Synthesis, service: str) -> dict[str, str]:
        return {
            each.action: each.resource for each in one.allowed("TrainingJobs/Role") if each.action.startswith(service)
        }

    assert "s3:GetObject" not in actions(both, "s3:")
    allowed = actions(synchronised, "s3:")
    for action in ("s3:GetObject", "s3:DeleteObject"):
        assert allowed[action].endswith("/sagemaker/runs/*")
    assert actions(synchronised, "elasticfilesystem:") == actions(synchronised, "ec2:") == {}
    policy = synchronised.resource("AWS::EFS::FileSystem").properties["FileSystemPolicy"]
    assert [statement["Effect"] for statement in policy["Statement"]] == ["Deny"]


def test_without_efs_what_salvages_knows_where_runs_are_and_their_files_expire(
    aws: Synthesis, synchronised: Synthesis
) -> None:
    found = template(synchronised)
    (told,) = [
        synchronised.text("GaitwayPipeline", variables["GAITWAY_SYNCHRONISED_RUNS"])
        for each in synchronised.resources("AWS::Lambda::Function")
        if "GAITWAY_SYNCHRONISED_RUNS" in (variables := each.properties["Environment"]["Variables"])
    ]
    assert told == found.runs_uri

    def expiring(one: Synthesis) -> list[str]:
        rules = one.resource("AWS::S3::Bucket", "AssetBucket/Assets").properties["LifecycleConfiguration"]["Rules"]
        return [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule]

    assert (expiring(aws), expiring(synchronised)) == ([], ["sagemaker/runs/"])


def test_without_efs_only_one_node_is_allowed() -> None:
    sizes = settings(sagemakerStorage="checkpoints").further_backends["sagemaker"]
    assert {size.max_nodes for size in sizes.values()} == {1}


def test_only_with_it_may_the_file_system_be_mounted_without_a_role(aws: Synthesis, both: Synthesis) -> None:
    def effects(one: Synthesis) -> list[str]:
        policy = one.resource("AWS::EFS::FileSystem").properties["FileSystemPolicy"]
        return [statement["Effect"] for statement in policy["Statement"]]

    assert effects(aws) == ["Deny"]
    assert effects(both) == ["Allow"]


def test_training_jobs_may_assume_the_role_of_runs(both: Synthesis) -> None:
    run_access = both.resource("AWS::IAM::Role", "SimulationJob/RunAccess")
    (statement,) = run_access.properties["AssumeRolePolicyDocument"]["Statement"]
    trusted = {both.text(run_access.stack, one) for one in statement["Principal"]["AWS"]}
    assert trusted == {"<SimulationJob/Role.Arn>", "<TrainingJobs/Role.Arn>"}


def test_functions_may_end_training_jobs_of_this_deployment_only(both: Synthesis) -> None:
    for function in ("Heartbeat", "HandleFailure", "TellCaller"):
        allowed = [one for one in both.allowed(f"{function}/Role") if one.action == "batch:TerminateServiceJob"]
        assert [one.resource for one in allowed] == [batch_arn("service-job", "*")]


def test_the_image_is_not_built_after_what_names_it(both: Synthesis) -> None:
    resources = both.templates["GaitwayCompute"]["Resources"]
    (template,) = [name for name, one in resources.items() if one["Type"] == "AWS::SSM::Parameter"]
    assert all(template not in one.get("DependsOn", []) for one in resources.values())


def test_kept_instances_are_asked_for_in_each_payload(synthesise: Synthesise) -> None:
    found = template(synthesise(settings_of("training-jobs")))
    job = JobRequest("run-1-a", "run-1", ComputeConfig(backend="sagemaker"), 28_200, "Isaac-Ant-v0", "legs")
    resources = training_job(job, found)["ResourceConfig"]
    assert (resources["KeepAlivePeriodInSeconds"], resources["InstanceType"]) == (600, "ml.g6e.2xlarge")
