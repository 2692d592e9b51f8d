"""construct_run: a request becomes a specification, or an error that says what to give instead."""

import json
from typing import Any

import pytest

from gaitway.contracts.errors import GaitwayError, InputNotFoundError, RequestError, RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import ComputeConfig, parse_message
from gaitway.contracts.run import RunSpec, output_prefix_of, run_id_of_message
from lambdas.construct_run.construct import ConstructRun
from lambdas.construct_run.inputs import MAX_CONFIG_BYTES, Inputs
from tests.local.control_plane.world import SIZES, World

EVALUATE = {"trainingConfig": {"mode": "evaluate"}}


def construct(world: World, **fields: Any) -> dict[str, Any]:
    """Launch a run and construct it, as the inner machine does."""
    if world.table.get(world.run_id) is None:
        world.launched(**fields)
    started = json.loads(world.describe(world.record.execution_arn or "")["input"])
    event = ConstructRunEvent.model_validate(started | {"execution_arn": world.record.execution_arn})
    constructed = ConstructRun(world.table, Inputs(world.s3), SIZES).handle(event)
    assert constructed.run_id == world.run_id
    return {"timeout_seconds": constructed.timeout_seconds}


def spec(world: World, **fields: Any) -> RunSpec:
    construct(world, **fields)
    found = world.record.spec
    assert found is not None
    return found


def refusal(world: World, kind: type[GaitwayError] = InputNotFoundError, **fields: Any) -> str:
    with pytest.raises(kind) as caught:
        construct(world, **fields)
    assert type(caught.value) is kind
    return str(caught.value)


def evaluate(**fields: object) -> dict[str, Any]:
    return {"trainingConfig": {"mode": "evaluate"} | fields}


def test_a_training_gets_its_defaults_its_outputs_and_its_time(world: World) -> None:
    constructed = construct(world, outputS3AssetMetadataPath="s3://assets/metadata/")
    record = world.record
    assert constructed == {"timeout_seconds": 28_200}
    assert (record.mode, record.task) == ("train", "Isaac-Cartpole-v0")
    assert record.spec is not None
    assert record.spec.training.max_iterations == 5
    assert record.spec.policy is None
    uuid = world.output_path.key.split("/")[-3]
    assert record.spec.output_files == world.output_path / f"{uuid}/"
    assert record.spec.output_metadata == S3Uri("assets", f"metadata/{uuid}/")


def test_an_evaluation_has_less_time(world: World) -> None:
    policy = world.put("a/model_9.pt")
    assert construct(world, inputParameters=evaluate(policyS3Uri=str(policy))) == {"timeout_seconds": 6_600}


def test_the_json_file_is_merged_over_the_parameters(world: World) -> None:
    file = world.put("a/request.json", json.dumps({"name": "n", "trainingConfig": {"seed": 2}}).encode())
    found = spec(
        world, inputS3AssetFilePath=str(file), inputParameters={"trainingConfig": {"seed": 1, "maxIterations": 9}}
    )
    assert (found.name, found.training.seed, found.training.max_iterations) == ("n", 2, 9)
    assert world.record.name == "n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "it does not exist"),
        (b"\xff\xfe{", "its content is not UTF-8"),
        (b"{", "no JSON"),
        (b"[1]", "allowed: a JSON object"),
        (b"", "no JSON"),
        (b" " * (MAX_CONFIG_BYTES + 1), "too large, allowed: 131072 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(world: World, body: bytes | None, said: str) -> None:
    file = S3Uri(world.bucket, "a/request.json")
    if body is not None:
        world.put(file.key, body)
    message = refusal(world, inputS3AssetFilePath=str(file))
    assert message.startswith(f"inputS3AssetFilePath is {file}")
    assert said in message


def test_a_file_in_a_bucket_that_does_not_exist_is_named_too(world: World) -> None:
    assert "bucket does not exist" in refusal(world, inputS3AssetFilePath="s3://no-such-bucket/request.json")


def test_a_wrong_field_in_the_file_is_a_wrong_request(world: World) -> None:
    file = world.put("a/request.json", b'{"trainingConfig": {"numEnv": 1}}')
    assert "did you mean numEnvs?" in refusal(world, RequestError, inputS3AssetFilePath=str(file))


@pytest.mark.parametrize("compute", [{"numNodes": 3}, {"gpusPerNode": 4}, {"numNodes": 2, "gpusPerNode": 4}])
def test_what_fits_the_deployed_instances_is_taken(world: World, compute: dict[str, int]) -> None:
    found = spec(world, inputParameters={"computeConfig": compute}).compute
    assert found == ComputeConfig.model_validate(compute)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"gpusPerNode": 2}, "computeConfig.gpusPerNode is 2, allowed here: 1, 4 (what fits the deployed instance"),
        ({"numNodes": 4}, "computeConfig.numNodes is 4, allowed here: at most 3 with 1 per node in gpusPerNode"),
        ({"numNodes": 3, "gpusPerNode": 4}, "computeConfig.numNodes is 3, allowed here: at most 2 with 4 per node"),
    ],
)
def test_what_does_not_fit_is_refused(world: World, compute: dict[str, int], said: str) -> None:
    assert refusal(world, RequestError, inputParameters={"computeConfig": compute}).startswith(said)


@pytest.mark.parametrize(
    ("present", "newest"),
    [
        (["a/model_50.pt", "a/model_999.pt", "a/model_1499.pt"], "a/model_1499.pt"),
        (["a/cart_ep_75_rew_9.pth", "a/last_cart_ep_100_rew_1.pth", "a/cart.pth"], "a/last_cart_ep_100_rew_1.pth"),
        (["a/model_5.pt", "a/checkpoints/model_10.pt", "a/exported/policy.pt"], "a/checkpoints/model_10.pt"),
        (["a/checkpoints/best_agent.pt", "a/checkpoints/agent_16.pt"], "a/checkpoints/agent_16.pt"),
        (["a/best_agent.pt", "a/policy.onnx"], "a/best_agent.pt"),
        (["a/model_5.pt", "a/old/model_900.pt", "b/model_900.pt"], "a/model_5.pt"),
    ],
)
def test_an_evaluation_takes_the_newest_checkpoint_beside_its_input_file(
    world: World, present: list[str], newest: str
) -> None:
    for key in present:
        world.put(key)
    file = world.put("a/robot.usd")
    assert spec(world, inputS3AssetFilePath=str(file), inputParameters=EVALUATE).policy == S3Uri(world.bucket, newest)


def test_a_checkpoint_as_input_file_is_the_policy(world: World) -> None:
    world.put("a/model_100.pt")
    file = world.put("a/model_50.pt")
    assert spec(world, inputS3AssetFilePath=str(file), inputParameters=EVALUATE).policy == file


def test_the_second_step_of_a_workflow_evaluates_what_the_first_one_trained_and_writes_beside_it(world: World) -> None:
    first = output_prefix_of(world.output_path)
    checkpoint = world.put((first / "checkpoints/model_100.pt").key)
    fields = {"inputS3AssetFilePath": str(world.output_path), "inputParameters": EVALUATE}
    fields["outputS3AssetMetadataPath"] = "s3://assets/metadata/"
    world.run_id = run_id_of_message(parse_message(world.event("token", **fields)).message)
    found = spec(world, **fields)
    assert found.policy == checkpoint
    assert found.output_files.parent == world.output_path
    assert found.output_files != first
    assert found.output_metadata == S3Uri("assets", f"metadata/{found.output_files.name}/")


def test_the_newest_checkpoint_of_the_asset_is_found_without_an_input_file(world: World) -> None:
    world.put("asset-1/checkpoints/model_100.pt")
    found = spec(world, inputAssetLocationKey="asset-1/", inputParameters=EVALUATE)
    assert found.policy == S3Uri(world.bucket, "asset-1/checkpoints/model_100.pt")


@pytest.mark.parametrize("field", ["checkpointPath", "policyPath"])
@pytest.mark.parametrize("key", ["asset-1/sub/old/model_1.pt", "asset-1/old/model_1.pt"])
def test_a_relative_path_begins_at_the_input_file_or_at_the_asset(world: World, field: str, key: str) -> None:
    policy = world.put(key)
    found = spec(
        world,
        inputAssetLocationKey="asset-1",
        inputS3AssetFilePath=str(world.put("asset-1/sub/robot.usd")),
        inputParameters=evaluate(**{field: "old/model_1.pt"}),
    )
    assert found.policy == policy


def test_other_inputs_are_found_in_the_same_way(world: World) -> None:
    weights, package = world.put("asset-1/model_1.pt"), world.put("envs/env.whl")
    found = spec(
        world,
        inputAssetLocationKey="asset-1/",
        inputParameters={
            "trainingConfig": {"resumeCheckpoint": "model_1.pt"},
            "customEnvironmentS3Uri": str(package),
        },
    )
    assert (found.resume_checkpoint, found.custom_environment) == (weights, package)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"policyS3Uri": "s3://{bucket}/no.pt"}, ["trainingConfig.policyS3Uri is 's3://", "it does not exist"]),
        ({"policyPath": "no.pt"}, ["policyPath is 'no.pt'", "s3://{bucket}/a/no.pt", "s3://{bucket}/asset-1/no.pt"]),
        ({"checkpointPath": "s3://no-such-bucket/no.pt"}, ["checkpointPath is 's3://no-such-bucket/no.pt'"]),
        ({}, ["there is no policy to evaluate in s3://{bucket}/a/ and s3://{bucket}/a/checkpoints/", "policyS3Uri"]),
    ],
)
def test_an_input_that_does_not_exist_is_told_with_where_it_was_looked_for(
    world: World, fields: dict[str, str], said: list[str]
) -> None:
    message = refusal(
        world,
        inputAssetLocationKey="asset-1",
        inputS3AssetFilePath=str(world.put("a/robot.usd")),
        inputParameters=evaluate(**{name: text.format(bucket=world.bucket) for name, text in fields.items()}),
    )
    assert [part for part in said if part.format(bucket=world.bucket) not in message] == [], message


def test_a_custom_environment_that_does_not_exist_is_told(world: World) -> None:
    message = refusal(world, inputAssetLocationKey="asset-1", inputParameters={"customEnvironmentPath": "no.zip"})
    assert message.startswith("customEnvironmentPath is 'no.zip'")


def test_an_evaluation_of_nothing_says_what_to_give(world: World) -> None:
    assert "give policyS3Uri" in refusal(world, inputParameters=EVALUATE)


@pytest.mark.parametrize(("path", "said"), [("no.pt", "give an S3 URI"), ("s3://?/no.pt", "s3://bucket/key")])
def test_a_path_that_leads_nowhere_is_a_wrong_request(world: World, path: str, said: str) -> None:
    assert said in refusal(world, RequestError, inputParameters=evaluate(policyPath=path))


def test_an_execution_that_was_replaced_may_not_construct_the_run(world: World) -> None:
    world.launched()
    execution = world.record.execution_arn or ""
    world.table.update(world.run_id, execution_arn=f"{execution}-newer")
    started = json.loads(world.describe(execution)["input"])
    event = ConstructRunEvent.model_validate(started | {"execution_arn": execution})
    with pytest.raises(RunRefusedError):
        ConstructRun(world.table, Inputs(world.s3), SIZES).handle(event)
    assert world.record.spec is None
