"""A request is taken as JSON writers spell it, wherever that is unmistakable; what would be lost is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gaitway.contracts.documents import load_json, merge
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.spellings import digits_between
from gaitway.contracts.vams_message import find_task_token, parse_message
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig

MARK = "\ufeff"


def training(**fields: object) -> dict[str, Any]:
    return {"trainingConfig": fields}


def refusal(*documents: object) -> str:
    with pytest.raises(RequestError) as refused:
        parse_request(*documents)
    return str(refused.value)


@pytest.mark.parametrize("spelt", [16, 16.0, "16", "16.0"])
@pytest.mark.parametrize("field", ["numEnvs", "maxIterations", "checkpointInterval", "seed", "numEpisodes"])
def test_a_whole_number_may_be_a_float_or_text(field: str, spelt: object) -> None:
    mode = "evaluate" if field == "numEpisodes" else "train"
    read = parse_request(training(mode=mode, **{field: spelt})).training_config
    assert read.model_dump(by_alias=True)[field] == 16


def test_so_may_the_numbers_of_the_machines() -> None:
    compute = parse_request(
        {"computeConfig": {"numNodes": "2", "gpusPerNode": 4.0, "maxCostUsd": "12.50"}}
    ).compute_config
    assert (compute.num_nodes, compute.gpus_per_node, compute.max_cost_usd) == (2, 4, 12.5)


@pytest.mark.parametrize("spelt", ["16.5", "many", "1,000", "0x10", "", " ", "1e3", "007", 16.5, True, [16], "٣", "²"])
def test_what_is_no_whole_number_is_refused(spelt: object) -> None:
    if spelt == "":
        assert parse_request(training(numEnvs=spelt)).training_config.num_envs == 4096
    else:
        assert "trainingConfig.numEnvs is" in refusal(training(numEnvs=spelt))
        assert "a valid integer" in refusal(training(numEnvs=spelt))


def test_the_limits_hold_for_each_spelling() -> None:
    assert "greater than or equal to 1" in refusal(training(numEnvs="0"))
    assert "less than or equal to 8" in refusal({"computeConfig": {"gpusPerNode": 9.0}})
    assert "greater than 0" in refusal({"computeConfig": {"maxCostUsd": "0.0"}})


@pytest.mark.parametrize("high", [1, 8, 9, 10, 64, 100, 999, 1000])
def test_digits_of_a_range_are_those_that_the_schema_describes(high: int) -> None:
    for low in (-1, 0, 1):
        allowed = re.compile(digits_between(low, high))
        assert [number for number in range(-3, 1100) if allowed.fullmatch(str(number))] == list(range(low, high + 1))


@pytest.mark.parametrize("empty", [None, ""])
def test_null_and_an_empty_text_mean_not_given(empty: object) -> None:
    fields = (
        "mode",
        "task",
        "numEnvs",
        "seed",
        "rlLibrary",
        "recordVideo",
        "hydraOverrides",
        "maxIterations",
        "policyPath",
    )
    document = {
        **training(**dict.fromkeys(fields, empty)),
        **dict.fromkeys(("name", "groupId", "computeConfig", "customEnvironmentPath", "customEnvironmentS3Uri"), empty),
    }
    assert parse_request(document) == Request()
    assert parse_request({"trainingConfig": empty}) == Request()
    assert parse_request({"computeConfig": {"numNodes": empty, "maxCostUsd": empty}}) == Request()


@pytest.mark.parametrize("empty", [None, ""])
def test_neither_of_them_overrides(empty: object) -> None:
    template = {"name": "template"} | training(seed=3, mode="evaluate", policyPath="a.pt")
    above = {"name": empty, "computeConfig": empty} | training(
        seed=empty, mode=empty, policyPath=empty, policyS3Uri=empty
    )
    assert parse_request(template, above) == parse_request(template)
    assert parse_request(template, {"trainingConfig": empty}) == parse_request(template)
    assert merge({"a": {"b": 1}}, {"a": {"b": empty, "c": empty}}) == {"a": {"b": 1, "c": empty}}


def test_an_empty_parent_does_not_contradict_the_run_that_is_continued() -> None:
    run = "run-" + "0a" * 10
    assert parse_request({"parentRunId": ""} | training(resumeFrom=run)).parent_run_id == run
    assert parse_request({"parentRunId": run} | training(resumeFrom="")).parent_run_id == run


def test_an_unknown_key_is_refused_though_it_is_empty() -> None:
    assert "trainingConfig.colour is not a known key" in refusal(training(colour=""))


@pytest.mark.parametrize("text", ["true", "True", "false", "False"])
def test_a_truth_may_be_text(text: str) -> None:
    assert parse_request(training(recordVideo=text)).training_config.record_video is (text.lower() == "true")
    assert parse_request(training(enableCameras=text)).training_config.enable_cameras is (text.lower() == "true")


def test_play_is_evaluate() -> None:
    read = parse_request(training(mode="play", policyPath="a.pt")).training_config
    assert isinstance(read, EvaluationConfig)
    assert read.mode == "evaluate"


@pytest.mark.parametrize("below", ["policyPath", "checkpointPath", "policyS3Uri"])
@pytest.mark.parametrize("above", ["policyPath", "checkpointPath", "policyS3Uri"])
def test_a_policy_in_the_file_replaces_the_templates_whichever_key_either_used(below: str, above: str) -> None:
    values = {"policyPath": "b.pt", "checkpointPath": "c.pt", "policyS3Uri": "s3://assets/a.pt"}
    read = parse_request(training(mode="evaluate", **{below: values[below]}), training(**{above: values[above]}))
    given = {name: value for name in values if (value := read.training_config.model_dump(by_alias=True)[name])}
    assert given == {above: values[above]}


def test_so_does_a_package_at_whichever_level() -> None:
    uri = {"customEnvironmentS3Uri": "s3://assets/new.zip"}
    for template in (training(customEnvironmentPath="old.zip"), {"customEnvironmentPath": "old.zip"}):
        for file in (training(**uri), uri):
            read = parse_request(template, file).training_config
            assert read.custom_environment_path is None
            assert read.custom_environment_s3_uri == S3Uri("assets", "new.zip")


def test_one_document_must_not_name_two() -> None:
    assert "allowed: one of them" in refusal(training(mode="evaluate", policyPath="a.pt", checkpointPath="b.pt"))


@pytest.mark.parametrize("begin", ["", MARK, " ", f"{MARK}\r\n"])
def test_a_part_may_be_the_text_of_its_json(begin: str) -> None:
    text = begin + json.dumps({"seed": 3, "numEnvs": 5})
    read = parse_request({"trainingConfig": text, "computeConfig": begin + '{"numNodes": 2}'}, training(seed=4))
    assert (read.training_config.seed, read.training_config.num_envs, read.compute_config.num_nodes) == (4, 5, 2)
    assert "trainingConfig has the key 'seed' twice" in refusal({"trainingConfig": begin + '{"seed": 1, "seed": 2}'})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_bytes_may_be_what_editors_write(encoding: str) -> None:
    assert load_json("a file", '{"name": "Läufer"}'.encode(encoding)) == {"name": "Läufer"}


def test_a_byte_order_mark_is_not_part_of_a_text() -> None:
    document = json.dumps({"name": "x"})
    assert parse_request(MARK + document).name == "x"
    assert parse_request(json.dumps(document)).name == "x"
    event = {"body": MARK + json.dumps({"TaskToken": "t", "outputS3AssetFilesPath": "s3://assets/a/"})}
    assert find_task_token(event) == "t"
    assert parse_message(event).task_token == "t"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"name": "a", "name": "b"}', "name"),
        ('{"trainingConfig": {"numEnvs": 1, "seed": 2, "numEnvs": 3}}', "numEnvs"),
        ('{"trainingConfig": {}, "trainingConfig": {}}', "trainingConfig"),
        ('{"a": [{"b": 1, "b": 1}]}', "b"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text: str, key: str) -> None:
    assert f"has the key {key!r} twice in the same object: keep one" in refusal(text)
    with pytest.raises(RequestError, match="twice"):
        parse_message(
            {"body": '{"TaskToken": "t", "outputS3AssetFilesPath": "s3://a", "inputParameters": ' + text + "}"}
        )


@pytest.mark.parametrize(
    ("document", "meant"),
    [
        (training(custom_environment_path="a.zip"), "customEnvironmentPath"),
        (training(num_envs=4), "numEnvs"),
        (training(policy_s3_uri="s3://assets/a.pt"), "policyS3Uri"),
        ({"training_config": {}}, "trainingConfig"),
        ({"computeConfig": {"num_nodes": 2}}, "numNodes"),
        ({"custom_environment_s3_uri": "s3://assets/a.zip"}, "customEnvironmentS3Uri"),
    ],
)
def test_a_key_of_python_is_refused_with_the_one_of_json(document: dict[str, Any], meant: str) -> None:
    assert f"is not a known key (did you mean {meant}?)" in refusal(document)


def test_in_python_a_request_has_the_names_of_python() -> None:
    assert TrainingConfig(num_envs=3, custom_environment_path="a.zip").num_envs == 3


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("S3://assets/a/model_1.pt", "s3://assets/a/model_1.pt"),
        ("arn:aws:s3:::assets/a b.pt", "s3://assets/a b.pt"),
        ("https://assets.s3.eu-central-1.amazonaws.com/a%20b.pt?versionId=3", "s3://assets/a b.pt"),
        ("https://s3.amazonaws.com/assets/a.pt", "s3://assets/a.pt"),
        (
            "https://eu-central-1.console.aws.amazon.com/s3/object/assets?region=eu-central-1&prefix=a/b.pt",
            "s3://assets/a/b.pt",
        ),
    ],
)
def test_another_address_of_an_object_is_refused_with_its_s3_uri(address: str, meant: str) -> None:
    assert f"must look like s3://bucket/key: this is {meant}" in refusal(training(mode="evaluate", policyS3Uri=address))


@pytest.mark.parametrize("seed", [-1, 0, 2**31, 2**32 - 1])
def test_a_seed_is_what_numpy_takes_or_random(seed: int) -> None:
    assert parse_request(training(seed=seed)).training_config.seed == seed


@pytest.mark.parametrize("seed", [-2, 2**32, 0.5])
def test_any_other_seed_is_refused(seed: float) -> None:
    assert "trainingConfig.seed is" in refusal(training(seed=seed))


def test_a_video_needs_cameras() -> None:
    assert "a video needs cameras" in refusal(training(recordVideo=True, enableCameras=False))
    assert parse_request(training(recordVideo=True, enableCameras=True)).training_config.record_video
