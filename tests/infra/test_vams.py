"""VAMS in the same account: what is registered there, by whom, and who may call what is registered."""

from __future__ import annotations

import json

import pytest

from gaitway.contracts.limits import CALLER_LIMITS, JOB_HEARTBEAT_TIMEOUT_SECONDS
from gaitway.contracts.request import parse_request
from tests.infra.conftest import Synthesise
from tests.infra.deployments import VAMS_BUCKETS, VAMS_IMPORT, VAMS_KEY, settings_of
from tests.infra.templates import Allowed, Resource, Synthesis

_IMPORT = f"arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:{VAMS_IMPORT}"


@pytest.fixture(scope="module")
def vams(synthesise: Synthesise) -> Synthesis:
    return synthesise(settings_of("vams"))


@pytest.fixture(scope="module")
def registered(vams: Synthesis) -> dict[str, Resource]:
    return {item.properties["pipelineId"]: item for item in vams.resources("Custom::VamsPipeline")}


def test_a_training_and_an_evaluation_are_registered_each_with_a_workflow(
    vams: Synthesis, registered: dict[str, Resource]
) -> None:
    types = {
        name: tuple(item.properties[key] for key in ("assetType", "outputType", "taskTimeout", "taskHeartbeatTimeout"))
        for name, item in registered.items()
    }
    assert types == {
        "isaaclab-training": (".all", ".pt", "28800", "3600"),
        "isaaclab-evaluation": (".pt", ".json", "7200", "1800"),
    }
    for name, item in registered.items():
        assert item.properties["workflowId"] == name
        assert item.properties["waitForCallback"] == "Enabled"
        assert vams.text(item.stack, item.properties["lambdaName"]) == "<Launch/Function>"


@pytest.mark.parametrize(("name", "mode"), [("isaaclab-training", "train"), ("isaaclab-evaluation", "evaluate")])
def test_what_a_pipeline_begins_with_are_the_defaults_of_its_mode(
    registered: dict[str, Resource], name: str, mode: str
) -> None:
    seed = json.loads(registered[name].properties["inputParameters"])
    request = parse_request(seed)
    assert request.training_config.mode == mode
    assert request == parse_request({"trainingConfig": {"mode": mode, "task": seed["trainingConfig"]["task"]}})


@pytest.mark.parametrize(("name", "files"), [("isaaclab-training", []), ("isaaclab-evaluation", ["*.pt"])])
def test_vams_2_6_is_told_the_same_in_its_own_words(
    vams: Synthesis, registered: dict[str, Resource], name: str, files: list[str]
) -> None:
    # What build_import_requests asks for: github.com/awslabs/visual-asset-management-system,
    # backend/backend/common/workflows/vamsSchemaImport.py.
    resource = registered[name]
    bundle = json.loads(vams.text(resource.stack, resource.properties["inlineBundle"]))
    pipeline, workflow, (template,) = bundle["pipeline"], bundle["workflow"], bundle["templates"]
    assert (pipeline["pipelineId"], workflow["workflowId"]) == (name, name)
    assert pipeline["pipelineName"]
    assert workflow["workflowName"]
    assert pipeline["executionConfig"] == {
        "executionType": "Lambda",
        "waitForCallback": resource.properties["waitForCallback"],
        "taskTimeout": resource.properties["taskTimeout"],
        "taskHeartbeatTimeout": resource.properties["taskHeartbeatTimeout"],
        "lambda": {"resourceId": "<Launch/Function>"},
    }
    assert pipeline["systemConfig"]["inputFileFilters"]["allow"] == files
    assert template["configBody"] == resource.properties["inputParameters"]


def test_vams_waits_as_long_as_a_run_may_take(registered: dict[str, Resource]) -> None:
    training, evaluation = (registered[f"isaaclab-{name}"].properties for name in ("training", "evaluation"))
    assert int(training["taskTimeout"]) == CALLER_LIMITS["train"].timeout_seconds
    assert int(evaluation["taskTimeout"]) == CALLER_LIMITS["evaluate"].timeout_seconds
    assert int(evaluation["taskHeartbeatTimeout"]) > JOB_HEARTBEAT_TIMEOUT_SECONDS


def test_the_function_may_call_that_of_vams_and_nothing_else(vams: Synthesis) -> None:
    allowed = {grant for grant in vams.allowed("Vams/Function/Role") if not grant.action.startswith(("logs:", "xray:"))}
    assert allowed == {Allowed("lambda:InvokeFunction", _IMPORT)}


def test_the_launch_function_leaves_it_to_the_account_who_may_call_it(vams: Synthesis) -> None:
    permission = vams.resource("AWS::Lambda::Permission", "Launch/Function/Vams").properties
    assert vams.text("GaitwayPipeline", permission["FunctionName"]) == "<Launch/Function.Arn>"
    assert vams.text("GaitwayPipeline", permission["Principal"]) == "<AWS::AccountId>"
    assert permission["Action"] == "lambda:InvokeFunction"


def test_what_vams_may_call_begins_with_its_name(vams: Synthesis) -> None:
    launch = vams.resource("AWS::Lambda::Function", "Launch/Function")
    assert launch.properties["FunctionName"].startswith("vams")


def test_runs_may_do_with_the_files_of_vams_what_they_may_do_with_ours_and_nothing_else(
    vams: Synthesis, aws: Synthesis
) -> None:
    def grants(synthesis: Synthesis, role: str, bucket: str) -> set[Allowed]:
        of_bucket = {grant for grant in synthesis.allowed(role) if grant.resource.startswith(bucket)}
        return {Allowed(action, resource.removeprefix(bucket)) for action, resource in of_bucket}

    ours = "<AssetBucket/Assets.Arn>"
    roles = {resource.name for resource in aws.resources("AWS::IAM::Role") if grants(aws, resource.name, ours)}
    assert "SimulationJob/RunAccess" in roles
    for role in roles:
        for bucket in VAMS_BUCKETS:
            assert grants(vams, role, f"arn:<AWS::Partition>:s3:::{bucket}") == grants(aws, role, ours), role


def test_nothing_of_this_is_deployed_without_vams(aws: Synthesis) -> None:
    assert aws.resources("Custom::VamsPipeline") == []
    functions = [function.properties["FunctionName"] for function in aws.resources("AWS::Lambda::Function")]
    assert [name for name in functions if "register" in name] == []
    assert [item.name for item in aws.resources("AWS::Lambda::Permission") if "Launch/" in item.name] == []


# docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html; S3 decrypts parts to put them together.
_KEY_USES = {
    "s3:GetObject": {"kms:Decrypt"},
    "s3:PutObject": {"kms:GenerateDataKey"},
    "s3:AbortMultipartUpload": {"kms:Decrypt"},
}


def test_who_reads_and_writes_a_bucket_may_use_its_key_for_that_and_nobody_else_may(vams: Synthesis) -> None:
    roles = {policy.name.removesuffix("/DefaultPolicy") for policy in vams.resources("AWS::IAM::Policy")}
    users = set()
    for role in roles:
        allowed = vams.allowed(role)
        needed = set[str]().union(
            *(_KEY_USES.get(grant.action, set()) for grant in allowed if VAMS_BUCKETS[0] in grant.resource)
        )
        # The key of the alarms' topic is another one.
        assert {grant.action for grant in allowed if grant.resource == VAMS_KEY} == needed, role
        users |= {role} if needed else set()
    assert users == {
        "Launch/Role",
        "ConstructRun/Role",
        "CollectResults/Role",
        "HandleFailure/Role",
        "SimulationJob/RunAccess",
    }


def test_a_buckets_key_is_used_through_s3_only(vams: Synthesis) -> None:
    statements = [
        statement
        for policy in vams.resources("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if VAMS_KEY in json.dumps(statement["Resource"])
    ]
    assert statements
    for statement in statements:
        assert statement["Condition"] == {"StringLike": {"kms:ViaService": "s3.*"}}
