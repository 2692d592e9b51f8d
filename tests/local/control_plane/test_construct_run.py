"""construct_run: a request becomes a specification, or an error that says what to give instead."""

import io
import itertools
import json
import zipfile
from typing import Any

import pytest

from gaitway.contracts.errors import Failure, GaitwayError, InputNotFoundError, RequestError, RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunSpec, RunState, output_prefix_of
from gaitway.contracts.vams_message import parse_message
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.workloads.simulators import Simulators
from lambdas.construct_run.inputs import MAX_CONFIG_BYTES, Inputs
from lambdas.construct_run.logic import ConstructRun, with_drawn_seed
from tests.checkpoints import EXPORTED, FILES, ONNX, checkpoint
from tests.local.control_plane.world import BACKENDS, World
from tests.unit.workloads import replay

EVALUATE = {"trainingConfig": {"mode": "evaluate"}}


def package(name: str) -> bytes:
    """Pack an empty module."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
    return packed.getvalue()


def construct(world: World, simulators: Simulators = ("embedded",), **fields: Any) -> dict[str, Any]:
    """Launch a run and construct it, as the inner machine does."""
    if world.table.get(world.run_id) is None:
        world.launched(**fields)
    started = json.loads(world.describe(world.record.execution_arn or "")["input"])
    event = ConstructRunEvent.model_validate(started | {"execution_arn": world.record.execution_arn})
    constructed = ConstructRun(world.table, Inputs(world.s3), BACKENDS, simulators).handle(event)
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


def test_a_library_in_a_file_that_no_deployed_simulator_supports_is_refused(world: World) -> None:
    key = "p/request.json"
    world.s3.put_object(Bucket=world.bucket, Key=key, Body=json.dumps({"trainingConfig": {"rlLibrary": "sb3"}}))
    world.launched(inputS3AssetFilePath=f"s3://{world.bucket}/{key}")
    started = json.loads(world.describe(world.record.execution_arn or "")["input"])
    event = ConstructRunEvent.model_validate(started | {"execution_arn": world.record.execution_arn})
    with pytest.raises(RequestError, match=r"rlLibrary is 'sb3', which Isaac Lab 2\.3\.2 does not support here"):
        ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("isaaclab-2",)).handle(event)


def test_a_training_gets_its_defaults_its_outputs_and_its_time(world: World) -> None:
    constructed = construct(world, outputS3AssetMetadataPath="s3://assets/metadata/")
    record = world.record
    assert constructed == {"timeout_seconds": 28_200}
    assert (record.mode, record.task) == ("train", "Isaac-Cartpole-v0")
    assert record.spec is not None
    assert isinstance(record.spec.training, TrainingConfig)
    assert record.spec.training.max_iterations == 5
    assert record.spec.policy is None
    uuid = world.output_path.key.split("/")[-3]
    assert record.spec.output_files == world.output_path / f"{uuid}/"
    assert record.spec.output_metadata == S3Uri("assets", f"metadata/{uuid}/")


def test_an_execution_that_an_older_launch_started_is_constructed_as_before(world: World) -> None:
    world.launched()
    older = {
        "outputS3AssetFilesPath": str(world.output_path),
        "outputS3AssetMetadataPath": "s3://assets/metadata/",
        "inputParameters": '{"trainingConfig": {"maxIterations": 5}}',
        "inputS3AssetFilePath": None,
        "executingUserName": "x",
    }
    event = {"run_id": world.run_id, "execution_arn": world.record.execution_arn, "message": older}
    ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(ConstructRunEvent.receive(event))
    found = world.record.spec
    assert found is not None
    assert found.training == TrainingConfig(max_iterations=5)
    assert found.output_files == output_prefix_of(world.output_path)
    assert found.output_metadata == S3Uri("assets", f"metadata/{found.output_files.name}/")
    assert found.caller is not None


def test_an_evaluation_has_less_time(world: World) -> None:
    policy = world.put("a/model_9.pt")
    assert construct(world, inputParameters=evaluate(policyS3Uri=str(policy))) == {"timeout_seconds": 6_600}


def test_the_json_file_is_merged_over_the_parameters(world: World) -> None:
    document = {"name": "n", "groupId": "g", "trainingConfig": {"seed": 2}}
    file = world.put("a/request.json", json.dumps(document).encode())
    found = spec(
        world, inputS3AssetFilePath=str(file), inputParameters={"trainingConfig": {"seed": 1, "maxIterations": 9}}
    )
    assert (found.name, found.training) == ("n", TrainingConfig(seed=2, max_iterations=9))
    assert world.record.name == "n"
    assert (found.group_id, world.record.group_id) == ("g", "g")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "it does not exist"),
        (b"\xff\xfe{", "its content is not UTF-8"),
        (b"{", "not valid JSON"),
        (b"[1]", "allowed: a JSON object"),
        (b"", "not valid JSON"),
        (b" " * (MAX_CONFIG_BYTES + 1), "too large, allowed: 131072 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(world: World, body: bytes | None, said: str) -> None:
    file = S3Uri(world.bucket, "a/request.json")
    if body is not None:
        world.put(file.key, body)
    message = refusal(world, inputS3AssetFilePath=str(file))
    assert message.startswith(f"the input file is {file}")
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
    ("library", "present", "newest"),
    [
        ("rsl_rl", ["a/model_50.pt", "a/model_999.pt", "a/model_1499.pt"], "a/model_1499.pt"),
        ("rl_games", ["a/c_ep_75_rew_9.pth", "a/last_c_ep_100_rew_1.pth", "a/c.pth"], "a/last_c_ep_100_rew_1.pth"),
        ("rsl_rl", ["a/model_5.pt", "a/checkpoints/model_10.pt", "a/exported/policy.pt"], "a/checkpoints/model_10.pt"),
        ("skrl", ["a/checkpoints/best_agent.pt", "a/checkpoints/agent_16.pt"], "a/checkpoints/agent_16.pt"),
        ("skrl", ["a/best_agent.pt", "a/policy.onnx"], "a/best_agent.pt"),
        ("rsl_rl", ["a/model_5.pt", "a/old/model_900.pt", "b/model_900.pt"], "a/model_5.pt"),
        # Among several, those of the request's library.
        ("skrl", ["a/model_9000.pt", "a/agent_16.pt", "a/agent_8.pt"], "a/agent_16.pt"),
        ("rsl_rl", ["a/last_c_ep_100_rew_1.pth", "a/checkpoints/model_7.pt", "a/x.pt"], "a/checkpoints/model_7.pt"),
        ("rsl_rl", ["a/best.pt", "a/._model_9.pt", "a/b/model_3.pt"], "a/b/model_3.pt"),
        # A single one by any name.
        ("rsl_rl", ["a/my policy (1).pt", "a/exported/policy.pt"], "a/my policy (1).pt"),
        ("rsl_rl", ["a/policy.PT"], "a/policy.PT"),
        ("sb3", ["a/best_model.zip"], "a/best_model.zip"),
    ],
)
def test_an_evaluation_takes_the_newest_checkpoint_beside_its_input_file(
    world: World, library: RlLibrary, present: list[str], newest: str
) -> None:
    for key in present:
        world.put(key)
    world.put(newest, checkpoint(library))
    file = world.put("a/robot.usd")
    found = spec(world, inputS3AssetFilePath=str(file), inputParameters=evaluate(rlLibrary=library))
    assert found.policy == S3Uri(world.bucket, newest)


@pytest.mark.parametrize(
    ("library", "runs", "newest"),
    [
        (
            "rsl_rl",
            [["run-b/checkpoints/model_9.pt"], ["run-a/checkpoints/model_5.pt"]],
            "run-a/checkpoints/model_5.pt",
        ),
        ("rsl_rl", [["x/run-b/model_999.pt"], ["x/run-a/model_50.pt", "x/run-a/model_5.pt"]], "x/run-a/model_50.pt"),
        (
            "rl_games",
            [["b/nn/last_c_ep_9_rew_1.pth"], ["a/nn/c.pth", "a/nn/c_ep_8_rew_1.pth"]],
            "a/nn/c_ep_8_rew_1.pth",
        ),
        # The newest run of this library.
        ("skrl", [["b/checkpoints/agent_9.pt"], ["a/checkpoints/model_5.pt"]], "b/checkpoints/agent_9.pt"),
    ],
)
def test_an_evaluation_with_a_json_file_at_the_asset_takes_the_newest_run_below(
    world: World, library: RlLibrary, runs: list[list[str]], newest: str
) -> None:
    earlier: list[S3Uri] = []
    for run in runs:
        earlier = [world.put(f"asset-1/{key}") for key in run]
        world.put(f"asset-1/{run[0].partition('/')[0]}/exported/policy.pt")
        if run is not runs[-1]:
            wait_for_the_next_second(world, earlier[-1])
    request = json.dumps(evaluate(rlLibrary=library)).encode()
    file = world.put("asset-1/evaluate.json", request)
    found = spec(world, inputS3AssetFilePath=str(file), inputAssetLocationKey="asset-1/", inputParameters="")
    assert found.policy == S3Uri(world.bucket, f"asset-1/{newest}")


def wait_for_the_next_second(world: World, before: S3Uri) -> None:
    """S3 knows the time of an object to the second."""
    begun = world.s3.head_object(Bucket=before.bucket, Key=before.key)["LastModified"]
    for number in itertools.count():
        clock = world.put(f"clock/{number}")
        if world.s3.head_object(Bucket=clock.bucket, Key=clock.key)["LastModified"] > begun:
            return


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (["a/one.pt", "a/two.pt"], ["a/one.pt", "a/two.pt could be meant"]),
        (["a/agent_8.pt", "a/agent_16.pt"], ["a/agent_16.pt", 'give "rlLibrary": "skrl", policyS3Uri or policyPath']),
        (["a/run/ant.pth", "a/run/cart.pth"], ["a/run/ant.pth, ", "a/run/cart.pth could be meant"]),
        ([f"a/policy {index}.pt" for index in range(12)], ["and 2 more could be meant"]),
        (["a/exported/policy.pt"], ["there is no policy to evaluate in"]),
    ],
)
def test_where_it_is_not_clear_which_policy_is_meant_the_names_are_listed(
    world: World, present: list[str], said: list[str]
) -> None:
    for key in present:
        world.put(key)
    file = world.put("a/robot.usd")
    message = refusal(world, inputS3AssetFilePath=str(file), inputParameters=EVALUATE)
    assert [part for part in said if part not in message] == [], message


def test_the_settings_of_a_checkpoints_training_come_with_it(world: World) -> None:
    world.put("a/run/checkpoints/model_100.pt")
    settings = world.put("a/run/params/agent.yaml")
    path = f"s3://{world.bucket}/a/run/checkpoints/model_100.pt"
    assert spec(world, inputParameters=evaluate(policyS3Uri=path)).inputs["agent_settings"].uri == settings


@pytest.mark.parametrize(
    ("library", "agent", "override", "trained"),
    [
        ("rsl_rl", "policy:\n  actor_hidden_dims: [32, 32]", "agent.policy.actor_hidden_dims=[64,64]", "[32, 32]"),
        ("rsl_rl", "actor:\n  hidden_dims: !!python/tuple [8]", "agent.policy.actor_hidden_dims=[64,64]", "[8]"),
        ("rsl_rl", "policy: {activation: elu}", "agent.policy.activation='tanh'", "elu"),
        ("skrl", "models: {separate: false}", "+agent.models.separate=True", "False"),
        ("rl_games", "params: {network: {mlp: {units: [8, 8]}}}", "agent.params.network.mlp.units=[8]", "[8, 8]"),
        ("sb3", "policy_kwargs: {net_arch: [8]}", "agent.policy_kwargs.net_arch=[16]", "[8]"),
        ("sb3", "observation_space: 4", "env.observation_space=48", "4"),
    ],
)
@pytest.mark.parametrize("mode", ["evaluate", "train"])
def test_overrides_that_contradict_the_settings_beside_a_checkpoint_are_refused(
    world: World, library: RlLibrary, agent: str, override: str, trained: str, mode: str
) -> None:
    name = {"rsl_rl": "model_9.pt", "sb3": "model_9_steps.zip"}.get(library, "c.pt")
    file = world.put(f"a/{name}", checkpoint(library))
    world.put(f"a/params/{'env' if override.startswith('env') else 'agent'}.yaml", agent.encode())
    field = "policyS3Uri" if mode == "evaluate" else "resumeCheckpoint"
    training = {"mode": mode, "rlLibrary": library, field: str(file)}
    message = refusal(
        world, RequestError, inputParameters={"trainingConfig": training | {"hydraOverrides": [override]}}
    )
    assert f"hydraOverrides has {override.lstrip('+')}, but trainingConfig.{field} is {file}" in message
    assert f"which was trained with {trained}, as its params/*.yaml say" in message


@pytest.mark.parametrize(
    ("agent", "override"),
    [
        ("policy: {actor_hidden_dims: [32, 32]}", "agent.policy.actor_hidden_dims=[32, 32]"),
        ("policy: {actor_hidden_dims: [32, 32]}", "agent.policy.critic_hidden_dims=[64]"),
        ("policy: {activation: ELU}", "agent.policy.activation=elu"),
        # How actions are clipped is for the request to say.
        ("clip_actions: 1.0", "agent.clip_actions=2.0"),
        ("policy: {actor_hidden_dims: null}", "agent.policy.actor_hidden_dims=[64]"),
        ("policy: [unclosed", "agent.policy.actor_hidden_dims=[64]"),
        ("policy: !!python/object/apply:os.system ['true']", "agent.policy.activation=elu"),
        ("\x00", "agent.policy.actor_hidden_dims=[64]"),
        ("- 1", "env.observation_space=4"),
    ],
)
def test_what_does_not_contradict_or_cannot_be_read_is_no_reason(world: World, agent: str, override: str) -> None:
    file = world.put("a/model_9.pt")
    world.put("a/params/agent.yaml", agent.encode())
    world.put("a/params/env.yaml", agent.encode())
    spec(world, inputParameters=evaluate(policyS3Uri=str(file), hydraOverrides=[override]))


FULL = (FILES / "rsl_rl-3.1.2.pt").read_bytes()


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        pytest.param("policy.onnx", ONNX.read_bytes(), "which is an ONNX model: it is a network", id="onnx"),
        pytest.param("model_9.pt", FULL[:9000], "incomplete or damaged", id="truncated"),
        pytest.param("agent_9.pt", checkpoint("skrl"), "a checkpoint of skrl, but trainingConfig.rlLibrary", id="skrl"),
    ],
)
@pytest.mark.parametrize("field", ["policyS3Uri", "resumeCheckpoint"])
def test_a_file_that_is_no_checkpoint_is_refused_with_its_cure(
    world: World, field: str, name: str, body: bytes, said: str
) -> None:
    file = world.put(f"a/{name}", body)
    training = {"mode": "evaluate", "rlLibrary": "rsl_rl"} if field == "policyS3Uri" else {}
    message = refusal(world, RequestError, inputParameters={"trainingConfig": training | {field: str(file)}})
    assert message.startswith(f"trainingConfig.{field} is {file}, which is")
    assert said in message


@pytest.mark.parametrize("library", ["rsl_rl", "rl_games", "skrl"])
@pytest.mark.parametrize("given", [{}, {"rlLibrary": None}, {"rlLibrary": ""}])
def test_an_evaluation_that_names_no_library_is_given_its_checkpoints(
    world: World, library: RlLibrary, given: dict[str, object]
) -> None:
    file = world.put("a/policy.bin", checkpoint(library))
    assert spec(world, inputParameters=evaluate(policyS3Uri=str(file), **given)).training.library == library


def test_a_library_that_is_named_counts_and_must_be_the_checkpoints(world: World) -> None:
    file = world.put("a/policy.bin", checkpoint("skrl"))
    request = evaluate(policyS3Uri=str(file), rlLibrary="rl_games")
    message = refusal(world, RequestError, inputParameters=request)
    assert "a checkpoint of skrl, but trainingConfig.rlLibrary is 'rl_games'" in message


def test_a_checkpoints_library_that_no_deployed_simulator_supports_is_refused(world: World) -> None:
    file = str(world.put("a/policy.zip", checkpoint("sb3")))
    with pytest.raises(RequestError, match=r"rlLibrary is 'sb3', which Isaac Lab 2\.3\.2 does not support here"):
        construct(world, simulators=("isaaclab-2",), inputParameters=evaluate(policyS3Uri=file))


def test_an_exported_policy_can_be_evaluated_but_no_training_starts_from_it(world: World) -> None:
    file = str(world.put("a/policy.pt", EXPORTED.read_bytes()))
    message = refusal(world, RequestError, inputParameters={"trainingConfig": {"resumeCheckpoint": file}})
    assert "which is an exported policy (TorchScript)" in message
    assert "exported/policy.json names it" in message


def test_an_exported_policy_is_taken_for_an_evaluation(world: World) -> None:
    file = world.put("a/policy.pt", EXPORTED.read_bytes())
    assert spec(world, inputParameters=evaluate(policyS3Uri=str(file))).policy == file


def test_only_a_little_of_a_large_checkpoint_is_read(world: World) -> None:
    body = large_checkpoint()
    file = world.put("a/model_9.pt", body)
    read: list[int] = []
    world.s3.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: read.append(parsed.get("ContentLength", 0))
    )
    assert spec(world, inputParameters=evaluate(policyS3Uri=str(file))).policy == file
    assert sum(read) < len(body) / 10


def large_checkpoint() -> bytes:
    """The archive of a real one, with a large tensor more."""
    stream = io.BytesIO(FULL)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("archive/data/999", bytes(8 * 1024**2))
    return stream.getvalue()


def test_a_checkpoint_as_input_file_is_the_policy(world: World) -> None:
    world.put("a/model_100.pt")
    file = world.put("a/model_50.pt")
    assert spec(world, inputS3AssetFilePath=str(file), inputParameters=EVALUATE).policy == file


def test_the_second_step_of_a_workflow_evaluates_what_the_first_one_trained_and_writes_beside_it(world: World) -> None:
    first = output_prefix_of(world.output_path)
    trained = world.put((first / "checkpoints/model_100.pt").key)
    fields = {"inputS3AssetFilePath": str(world.output_path), "inputParameters": EVALUATE}
    fields["outputS3AssetMetadataPath"] = "s3://assets/metadata/"
    world.run_id = parse_message(world.event("token", **fields)).run_id
    found = spec(world, **fields)
    assert found.policy == trained
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
    weights, robots = world.put("asset-1/model_1.pt"), world.put("envs/env.zip", package("robots"))
    found = spec(
        world,
        inputAssetLocationKey="asset-1/",
        inputParameters={
            "trainingConfig": {"resumeCheckpoint": "model_1.pt"},
            "customEnvironmentS3Uri": str(robots),
        },
    )
    assert (found.resume_checkpoint, found.custom_environment) == (weights, robots)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"policyS3Uri": "s3://{bucket}/no.pt"}, ["trainingConfig.policyS3Uri is 's3://", "it does not exist"]),
        ({"policyPath": "no.pt"}, ["policyPath is 'no.pt'", "s3://{bucket}/a/no.pt", "s3://{bucket}/asset-1/no.pt"]),
        ({"checkpointPath": "s3://no-such-bucket/no.pt"}, ["checkpointPath is 's3://no-such-bucket/no.pt'"]),
        ({}, ["there is no policy to evaluate in s3://{bucket}/a/ and s3://{bucket}/asset-1/ or in", "policyS3Uri"]),
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
    assert message.startswith("trainingConfig.customEnvironmentPath is 'no.zip'")


def test_packages_of_a_list_are_inputs_of_their_own(world: World) -> None:
    uris = [str(world.put(f"envs/{name}.ZIP", package(name))) for name in ("a", "b")]
    found = spec(world, inputAssetLocationKey="envs", inputParameters={"customEnvironmentPath": ["a.ZIP", uris[1]]})
    assert {name: str(file.uri) for name, file in found.inputs.items()} == {
        "custom_environment": uris[0],
        "custom_environment_2": uris[1],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty: upload it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "run git lfs pull"),
        (b"<!DOCTYPE html><html>", "a page in HTML"),
        (b"import gymnasium", "it is a text file"),
    ],
)
def test_what_is_no_package_is_refused_before_a_machine_is_paid_for(world: World, content: bytes, said: str) -> None:
    uris = [str(world.put("envs/good.zip", package("robots"))), str(world.put("envs/env.zip", content))]
    message = refusal(world, RequestError, inputParameters={"customEnvironmentS3Uri": uris})
    assert message.startswith(f"trainingConfig.customEnvironmentS3Uri[1] is {uris[1]}, but ")
    assert said in message


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
        ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(event)
    assert world.record.spec is None


def test_a_third_workload_has_its_own_time_and_needs_no_policy_and_no_library(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay.register(monkeypatch)
    constructed = construct(world, inputParameters={"trainingConfig": {"mode": "replay"}})
    assert constructed == {"timeout_seconds": 3_000}
    record = world.record
    assert record.spec is not None
    assert (record.mode, record.spec.training, record.spec.policy) == ("replay", replay.ReplayConfig(), None)


@pytest.mark.parametrize(
    ("stored", "given", "how"),
    [
        ("p/my policy.pt", "p/my%20policy.pt", "is URL-encoded"),
        ("p/my policy.pt", "p/my+policy.pt", "is URL-encoded, with + for spaces"),
        ("p/a+b (1).pt", "p/a%2Bb+%281%29.pt", "is URL-encoded, with + for spaces"),
        ("p/L\u00e4ufer.pt", "p/La\u0308ufer.pt", "is in another Unicode normalisation"),
        ("p/La\u0308ufer.pt", "p/L%C3%A4ufer.pt", "is URL-encoded, and in another Unicode normalisation"),
        ("p/model_1.pt", "p/model_1.pt\n", "has spaces or line breaks around it"),
        ("p/my%20policy.pt", "p/my policy.pt", "is not URL-encoded"),
    ],
)
def test_a_key_that_was_copied_in_another_spelling_is_refused_with_the_one_that_exists(
    world: World, stored: str, given: str, how: str
) -> None:
    found = world.put(stored, b"weights")
    message = refusal(world, inputParameters=evaluate(policyS3Uri=f"s3://{world.bucket}/{given}"))
    assert f"{str(found)!r} exists, and the key as given {how}: give this address" in message


def test_so_is_a_relative_path_and_the_file_with_the_request(world: World) -> None:
    world.put("p/my policy.pt", b"weights")
    beside = f"s3://{world.bucket}/p/robot.usd"
    message = refusal(world, inputS3AssetFilePath=beside, inputParameters=evaluate(policyPath="my%20policy.pt"))
    assert "p/my policy.pt' exists" in message


def test_the_file_with_the_request_too(world: World) -> None:
    world.put("p/my request.json", b"{}")
    message = refusal(world, inputS3AssetFilePath=f"s3://{world.bucket}/p/my+request.json")
    assert "p/my request.json' exists, and the key as given is URL-encoded" in message


def test_a_key_that_is_there_as_it_is_given_is_meant_even_if_it_looks_encoded(world: World) -> None:
    world.put("p/my policy.pt", checkpoint("rsl_rl"))
    as_given = world.put("p/my%20policy.pt", checkpoint("rsl_rl"))
    found = spec(world, inputParameters=evaluate(policyS3Uri=str(as_given)))
    assert found.policy == as_given


def test_a_random_seed_is_drawn_once_for_a_run(world: World) -> None:
    drawn = spec(world, inputParameters={"trainingConfig": {"seed": -1}}).training.seed
    assert drawn is not None
    assert 0 <= drawn < 2**31
    assert spec(world).training.seed == drawn, "an interrupted run is constructed again"


def test_another_run_draws_another_seed() -> None:
    asked = TrainingConfig(seed=-1)
    seeds = {with_drawn_seed(asked, f"run-{number}").seed for number in range(100)}
    assert len(seeds) == 100
    for seed in (None, 0, 7):
        assert with_drawn_seed(TrainingConfig(seed=seed), "run-1").seed == seed


def test_the_simulator_and_why_it_is_that_one_are_written_into_the_record(world: World) -> None:
    world.launch = world.launch_where("isaaclab-3")
    construct(world, simulators=("isaaclab-3",), inputParameters={"trainingConfig": {"task": "Isaac-Ant-v0"}})
    record = world.record
    assert record.spec is not None
    assert (record.simulator, record.spec.simulator, record.task) == ("isaaclab-3", "isaaclab-3", "Isaac-Ant-v0")
    assert record.remarks == [
        "Isaac-Ant-v0 means Isaac Lab 2.3.2 (PhysX), which is not deployed here: it runs as Isaac-Ant in Isaac Lab 3.0 "
        "(Newton physics)"
    ]


def test_a_run_that_is_started_again_stays_in_the_simulator_of_its_checkpoints(world: World) -> None:
    request = {"trainingConfig": {"task": "Isaac-Ant-v0"}}
    world.launch = world.launch_where("isaaclab-3")
    construct(world, simulators=("isaaclab-3",), inputParameters=request)
    first = world.record
    lost = Failure(error="InterruptedRunError", cause="the machine was taken away", retryable=True)
    assert world.table.update(world.run_id, state=RunState.FAILED, failure=lost)
    world.launched(inputParameters=request)
    assert world.record.execution_arn != first.execution_arn
    construct(world, simulators=("isaaclab-3", "isaaclab-2"))
    assert world.record.simulator == "isaaclab-3"
    assert world.record.remarks == ["Isaac-Ant-v0 runs as Isaac-Ant in Isaac Lab 3.0 (Newton physics), where it began"]
