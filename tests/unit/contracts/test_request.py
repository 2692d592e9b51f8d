"""What a user may ask for, and what they are told otherwise."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import SETTINGS, Request, parse_request
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig, WorkloadConfig
from gaitway.settings import Settings

POLICY = "s3://assets/cartpole/model_99.pt"


def refusal(*documents: object) -> str:
    with pytest.raises(RequestError) as caught:
        parse_request(*documents)
    return str(caught.value)


def training(**fields: object) -> dict[str, Any]:
    return {"trainingConfig": fields}


def test_nothing_asked_for_gives_the_documented_defaults() -> None:
    request = parse_request(None, "")
    assert request.training_config == TrainingConfig(
        task="Isaac-Cartpole-v0",
        rl_library="rsl_rl",
        num_envs=4096,
        max_iterations=1500,
        seed=None,
        record_video=False,
    )
    assert request.training_config.mode == "train"
    assert (request.compute_config.num_nodes, request.compute_config.gpus_per_node) == (1, 1)


def test_an_evaluation_has_defaults_of_its_own() -> None:
    evaluation = parse_request(training(mode="evaluate")).training_config
    assert evaluation == EvaluationConfig(num_envs=100, num_episodes=50, steps_per_episode=1000, rl_library="rsl_rl")


@pytest.mark.parametrize(
    ("mode", "kind", "fields"),
    [
        ("train", TrainingConfig, {"numEpisodes": 5, "stepsPerEpisode": 9, "policyPath": None, "policyS3Uri": None}),
        ("evaluate", EvaluationConfig, {"maxIterations": 5, "checkpointInterval": 2, "resumeCheckpoint": None}),
    ],
)
def test_a_template_for_both_modes_serves_each_of_them(
    mode: str, kind: type[WorkloadConfig], fields: dict[str, object]
) -> None:
    assert parse_request(training(mode=mode, seed=3, **fields)).training_config == kind.model_validate({"seed": 3})
    assert parse_request(training(**fields), training(mode=mode)).training_config == kind.model_validate({})


@pytest.mark.parametrize(
    ("mode", "fields", "said"),
    [
        ("train", {"numEpisodes": 0}, "trainingConfig.numEpisodes is 0, allowed: greater than or equal to 1"),
        ("evaluate", {"maxIterations": "x"}, "trainingConfig.maxIterations is 'x', allowed: a valid integer"),
        ("evaluate", {"maxIteration": 1}, "did you mean maxIterations?"),
    ],
)
def test_what_is_wrong_is_refused_even_if_another_mode_would_read_it(
    mode: str, fields: dict[str, object], said: str
) -> None:
    assert said in refusal(training(mode=mode, **fields))


def test_a_request_made_in_python_says_its_mode_where_only_what_was_given_is_written() -> None:
    request = Request(training_config=EvaluationConfig(num_episodes=3))
    written = request.model_dump_json(by_alias=True, exclude_unset=True)
    assert parse_request(written) == request


def test_an_evaluation_has_fewer_environments_unless_it_says_how_many() -> None:
    assert parse_request(training(mode="evaluate")).training_config.num_envs == 100
    assert parse_request(training(mode="evaluate", numEnvs=7)).training_config.num_envs == 7
    assert parse_request(training(mode="evaluate", numEnvs=None)).training_config.num_envs == 100


def test_a_request_may_come_as_json_text() -> None:
    assert parse_request(json.dumps(training(seed=3))).training_config.seed == 3


def test_a_later_document_is_merged_over_an_earlier_one_key_by_key() -> None:
    request = parse_request(
        json.dumps({"name": "inline"} | training(seed=1, numEnvs=64, hydraOverrides=["env.a=1"])),
        {"name": "file"} | training(seed=2, hydraOverrides=["env.b=2"]),
    )
    assert request.name == "file"
    assert request.training_config.seed == 2
    assert request.training_config.num_envs == 64
    assert request.training_config.hydra_overrides == ["env.b=2"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"groupId": "a search"}, "groupId is 'a search', allowed: 1 to 128 letters"),
        ({"groupId": "-"}, "groupId is '-', allowed"),
        ({"groupId": "g" * 129}, "groupId is "),
        ({"parentRunId": "run-1"}, "parentRunId is 'run-1', allowed: the whole id of a run"),
    ],
)
def test_a_group_and_a_parent_run_are_named_in_words_that_can_be_looked_up(fields: dict[str, Any], said: str) -> None:
    assert refusal(fields).startswith(said)
    given = parse_request({"groupId": "walk.search_1-b", "parentRunId": "run-" + "0a" * 10})
    assert (given.group_id, given.parent_run_id) == ("walk.search_1-b", "run-" + "0a" * 10)


def test_a_custom_environment_may_stand_at_the_top_level() -> None:
    given = parse_request({"customEnvironmentS3Uri": "s3://assets/envs/env.zip"})
    assert given.training_config.custom_environment_s3_uri == S3Uri("assets", "envs/env.zip")
    same = parse_request({"customEnvironmentPath": "env.whl"} | training(customEnvironmentPath="env.whl"))
    assert same.training_config.custom_environment_path == "env.whl"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            training(maxIteration=5),
            ["maxIteration", "did you mean maxIterations?", "allowed: mode, task"],
        ),
        ({"trainigConfig": {}}, ["trainigConfig", "did you mean trainingConfig?"]),
        ({"computeConfig": {"nodes": 2}}, ["computeConfig.nodes is not a known key", "numNodes"]),
        (training(numEnvs="many"), ["trainingConfig.numEnvs", "'many'", "a valid integer"]),
        (training(numEnvs=1.5), ["trainingConfig.numEnvs", "1.5", "a valid integer"]),
        (training(numEnvs=True), ["trainingConfig.numEnvs", "True", "a valid integer"]),
        (training(recordVideo="yes"), ["trainingConfig.recordVideo", "'yes'", "a valid boolean"]),
        (training(hydraOverrides="a=1"), ["trainingConfig.hydraOverrides", "'a=1'", "a list, as"]),
        (training(numEnvs=0), ["trainingConfig.numEnvs is 0", "greater than or equal to 1"]),
        (training(maxIterations=-1), ["trainingConfig.maxIterations is -1", "greater than or equal to 1"]),
        (training(seed=2**32), ["trainingConfig.seed is 4294967296", "less than or equal to 4294967295"]),
        ({"computeConfig": {"gpusPerNode": 9}}, ["computeConfig.gpusPerNode is 9", "less than or equal to 8"]),
        (training(mode="test"), ["trainingConfig.mode is 'test'", "'train' or 'evaluate'"]),
        (training(rlLibrary="rllib"), ["trainingConfig.rlLibrary is 'rllib'", "'rsl_rl', 'rl_games', 'skrl' or 'sb3'"]),
        (training(task="a b"), ["trainingConfig.task is 'a b'"]),
        (training(hydraOverrides=["--video"]), ["trainingConfig.hydraOverrides.0 is '--video'"]),
        (training(policyS3Uri="policy.pt"), ["trainingConfig.policyS3Uri is 'policy.pt'", "s3://bucket/key"]),
        (training(policyS3Uri=POLICY), ["policyS3Uri", "mode is train"]),
        (training(mode="evaluate", resumeCheckpoint="model_1.pt"), ["resumeCheckpoint", "mode is evaluate"]),
        (
            training(mode="evaluate", policyS3Uri=POLICY, policyPath="model_1.pt"),
            ["policyS3Uri and policyPath are given", "allowed: one of them"],
        ),
        (
            training(customEnvironmentPath="env.rar"),
            ["customEnvironmentPath is 'env.rar'", ".tar.gz, .tgz, .zip, .whl"],
        ),
        (
            {"customEnvironmentPath": "a.zip"} | training(customEnvironmentPath="b.zip"),
            ["customEnvironmentPath", "different values"],
        ),
        (training(mode="evaluate") | {"computeConfig": {"numNodes": 2}}, ["computeConfig.numNodes is 2", "one node"]),
        (training(mode="evaluate") | {"computeConfig": {"gpusPerNode": 2}}, ["gpusPerNode is 2", "one GPU"]),
        (
            training(rlLibrary="sb3") | {"computeConfig": {"gpusPerNode": 2}},
            ["computeConfig.gpusPerNode is 2", "sb3 trains in one process", "another library"],
        ),
        (training(rlLibrary="sb3") | {"computeConfig": {"numNodes": 2}}, ["numNodes is 2", "sb3 trains in one"]),
        (training(liveView=True) | {"computeConfig": {"numNodes": 2}}, ["numNodes is 2", "liveView is true"]),
        (
            training(liveView=True) | {"computeConfig": {"backend": "sagemaker"}},
            ["liveView is true", "backend is 'sagemaker'", "instances of batch only. Leave liveView out, or name"],
        ),
        (
            {"computeConfig": {"useSpot": True, "instanceType": "p5.48xlarge"}},
            ["useSpot is not a known key (the deployment's setting useSpot decides", "setting instanceTypes decides"],
        ),
        ([], ["inputParameters is []", "a JSON object"]),
        ("train please", ["inputParameters is 'train please'", "not valid JSON"]),
        ("[1]", ["inputParameters is [1]", "a JSON object"]),
        ({"trainingConfig": "fast"}, ["trainingConfig is 'fast'"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_a_wrong_request_is_refused_with_field_value_and_what_is_allowed(document: object, said: list[str]) -> None:
    message = refusal(document)
    assert [part for part in said if part not in message] == [], message


def test_what_is_called_a_setting_is_one() -> None:
    assert set(SETTINGS.values()) <= {field.alias for field in Settings.model_fields.values()}


def test_every_wrong_field_is_named_at_once() -> None:
    message = refusal(training(numEnvs=0, seed="x", colour="red"))
    assert all(field in message for field in ("numEnvs", "seed", "colour"))


def test_a_long_value_is_shortened() -> None:
    assert len(refusal(training(mode="x" * 10_000))) < 300


def test_deeply_nested_text_is_refused_like_any_other() -> None:
    refusal("[" * 100_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)
known_keys = st.sampled_from(
    ["mode", "numEnvs", "task", "hydraOverrides", "policyS3Uri", "customEnvironmentPath", "customEnvironmentS3Uri"]
)
near_requests = st.fixed_dictionaries(
    {},
    optional={
        "trainingConfig": st.dictionaries(known_keys, json_values | st.sampled_from(["evaluate", POLICY, "a.zip"])),
        "computeConfig": json_values,
        "customEnvironmentPath": json_values,
        "name": json_values,
    },
)


ON_A_BUSY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long it takes to draw says nothing about requests."""


@ON_A_BUSY_MACHINE
@given(st.lists(json_values | near_requests, max_size=2))
def test_whatever_is_sent_is_a_request_or_refused_as_one(documents: list[object]) -> None:
    with suppress(RequestError):
        assert isinstance(parse_request(*documents), Request)


@ON_A_BUSY_MACHINE
@given(near_requests)
def test_what_was_accepted_is_accepted_again_as_it_was_understood(document: object) -> None:
    try:
        request = parse_request(document)
    except RequestError:
        return
    assert parse_request(request.model_dump_json(by_alias=True)) == request


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        ({"gpuSlice": "1g.10gb"}, r"computeConfig\.backend is 'batch': only nodes of hyperpod-eks have slices of GPUs"),
        (
            {"gpuSlice": "1g.10gb", "backend": "hyperpod-slurm"},
            r"computeConfig\.gpuSlice is '1g\.10gb', but computeConfig\.backend is 'hyperpod-slurm'",
        ),
        (
            {"gpuSlice": "1g.10gb", "backend": "hyperpod-eks", "numNodes": 2},
            r"computeConfig\.numNodes is 2, allowed: 1 \(nodes do not exchange gradients through a slice\)",
        ),
        (
            {"gpuSlice": "1g.10gb", "backend": "hyperpod-eks", "gpusPerNode": 2},
            r"computeConfig\.gpusPerNode is 2, allowed: 1 \(NCCL does not work between slices\)",
        ),
        ({"gpuSlice": "half", "backend": "hyperpod-eks"}, r"gpuSlice is 'half', allowed: a MIG profile .* as 1g\.10gb"),
    ],
)
def test_a_slice_of_a_gpu_is_refused_where_it_makes_no_sense(compute: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_request({"computeConfig": compute})


def test_a_slice_of_a_gpu_is_for_one_process_on_a_cluster_of_eks() -> None:
    compute = parse_request({"computeConfig": {"gpuSlice": "3g.20gb", "backend": "hyperpod-eks"}}).compute_config
    assert compute.gpu_slice == "3g.20gb"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"numEnvs": 64}, "numEnvs is not a known key (did you mean trainingConfig.numEnvs?)"),
        ({"mode": "evaluate"}, "mode is not a known key (did you mean trainingConfig.mode?)"),
        ({"max_iterations": 5}, "did you mean trainingConfig.maxIterations?"),
        ({"numNodes": 2}, "did you mean computeConfig.numNodes?"),
        (training(numNodes=2), "trainingConfig.numNodes is not a known key (did you mean computeConfig.numNodes?)"),
        (training(name="x"), "trainingConfig.name is not a known key (did you mean name?)"),
        ({"computeConfig": {"seed": 3}}, "did you mean trainingConfig.seed?"),
        (training(customEnvironmentS3Uri={"uri": "s3://a-b/c.zip"}), "trainingConfig.customEnvironmentS3Uri is {'uri'"),
        (training(mode="evaluate", policyS3Uri={}), "trainingConfig.policyS3Uri is {}, allowed: a string like s3://"),
        ({"computeConfig": 0}, "computeConfig is 0, allowed: a JSON object"),
        (training(hydraOverrides="agent.seed=1"), """'agent.seed=1', allowed: a list, as ["agent.seed=1"]"""),
        (training(hydraOverrides={"agent.seed": 1}), "{'agent.seed': 1}, allowed: a list"),
        (training(numEnvs=" 64"), "' 64', allowed: a valid integer, without spaces or line breaks around it"),
        (training(rlLibrary="skrl\n"), "'skrl\\n', allowed: 'rsl_rl', 'rl_games', 'skrl' or 'sb3', without spaces"),
        (training(task="--headless"), "'--headless', allowed: a name of letters, digits and _ . : / -, not with -"),
        ({"\ufefftrainingConfig": {}}, "'\\ufefftrainingConfig' is not a known key (did you mean trainingConfig?)"),
        ({"trainingConfig ": {}}, "'trainingConfig ' is not a known key"),
        ({"na\x1bme": {}}, "'na\\x1bme' is not a known key"),
        (training(resumeFrom=" run-1"), "trainingConfig.resumeFrom is ' run-1', allowed: the whole id of a run"),
    ],
)
def test_an_error_names_the_field_and_what_to_do(document: dict[str, Any], said: str) -> None:
    message = refusal(document)
    assert said in message
    assert "parentRunId is" not in message


@pytest.mark.parametrize("digits", [1_001, 5_000, 1_000_000])
def test_a_number_of_many_digits_is_refused_in_words(digits: int) -> None:
    message = refusal('{"trainingConfig": {"numEnvs": ' + "9" * digits + "}}")
    assert "sys." not in message
    assert f"a number of {digits} digits" in message or "characters long" in message


@pytest.mark.parametrize(
    "document",
    [
        {f"key{number}": number for number in range(100_000)},
        json.dumps({f"key{number}": number for number in range(100_000)}),
        training(hydraOverrides=["agent.seed=1"] * 100_000),
        {"name": "x" * 10_000_000},
    ],
)
def test_a_document_that_no_request_can_be_is_refused_by_its_size(document: object) -> None:
    assert "characters long, allowed: 131072" in refusal(document)
