"""VAMS's message, whole or broken, the token in it, and what it means in our own words."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import output_prefix_of, run_id_of, to_json
from gaitway.contracts.vams_message import VamsMessage, find_task_token, parse_message, read_older
from tests.unit.contracts.test_request import json_values

TOKEN = "AQCoAAAAKgAAAAMAAAAAAAAAASecret+marker/of=the=task"


def message(**fields: object) -> dict[str, Any]:
    return {"TaskToken": TOKEN, "outputS3AssetFilesPath": "s3://assets/p/output/1/files/"} | fields


@pytest.mark.parametrize("body", [message(), json.dumps(message())], ids=["object", "text"])
def test_the_body_may_be_an_object_or_its_text(body: object) -> None:
    received = parse_message({"body": body})
    assert received.task_token == TOKEN
    assert received.message.output_files == S3Uri("assets", "p/output/1/files/1/")


def test_the_token_is_kept_apart_from_what_may_be_shown() -> None:
    received = parse_message({"body": message()})
    assert TOKEN not in repr(received)
    assert TOKEN not in received.message.model_dump_json()


def test_an_empty_field_means_that_it_does_not_apply_and_a_new_one_does_no_harm() -> None:
    received = parse_message(
        {"body": message(inputS3AssetFilePath="", bucketAsset="", executingRequestContext={"a": 1}, newInVams=[1])}
    )
    assert received.message.input_file is None
    assert received.message.folders == []


@pytest.mark.parametrize(
    ("path", "is_config"),
    [("s3://assets/a/run.json", True), ("s3://assets/a/RUN.JSON", True), ("s3://assets/a/cart.usd", False)],
)
def test_only_a_json_file_is_read_as_part_of_the_request(path: str, is_config: bool) -> None:
    found = parse_message({"body": message(inputS3AssetFilePath=path)}).message
    uri = S3Uri.parse(path)
    assert (found.request_file, found.input_file) == ((uri, None) if is_config else (None, uri))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "body is missing"),
        ([], "body is missing"),
        ({"body": "{not json"}, "body is text that is not valid JSON"),
        ({"body": "[]"}, "body is a list"),
        ({"body": 3}, "body is a int"),
        ({"body": "[" * 100_000}, "body is text that is not valid JSON (nested too deeply)"),
        ({"body": {"outputS3AssetFilesPath": "s3://assets/a/"}}, "TaskToken is missing"),
        ({"body": message(TaskToken=7)}, "TaskToken is missing"),
        ({"body": {"TaskToken": TOKEN}}, "outputS3AssetFilesPath is missing"),
        ({"body": message(outputS3AssetFilesPath="/tmp/x")}, "outputS3AssetFilesPath is '/tmp/x', allowed: must look"),
        ({"body": message(outputS3AssetFilesPath=f"s3://assets/{'k' * 1025}")}, "at most 1024 bytes"),
        ({"body": message(outputS3AssetFilesPath="s3://assets/\ud800")}, "outputS3AssetFilesPath is"),
        (
            {"body": message(outputS3AssetFilesPath=f"s3://assets/{'k' * 641}")},
            "leaves room for the names of the files",
        ),
        ({"body": message(outputS3AssetFilesPath="s3://assets/")}, "a folder of its own for each run"),
        ({"body": message(outputS3AssetFilesPath="s3://assets/*/files/")}, "a folder of its own for each run"),
        ({"body": message(bucketAsset="a..b")}, "bucketAsset is 'a..b', allowed: the name of a bucket"),
        ({"body": message(inputParameters={"a": [float("inf")]})}, "inputParameters holds the number inf"),
        (
            {"body": message(inputParameters={"a": "\ud800"})},
            "inputParameters holds '\\ud800', half of a surrogate pair",
        ),
        ({"body": message(inputParameters={"a": json.loads("[" * 40 + "]" * 40)})}, "inputParameters is nested too"),
        ({"body": message(inputParameters=[1])}, "inputParameters"),
    ],
)
def test_a_broken_event_is_refused_with_what_is_wrong(event: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_message(event)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        {"body": message()},
        {"body": json.dumps(message())},
        {"body": json.dumps(message())[:-1]},
        {"body": f'{{\'TaskToken\': x, "TaskToken": "{TOKEN}", '},
        {"body": json.dumps(json.dumps(message()))[1:-1]},
        message(),
    ],
    ids=["object", "text", "cut off", "broken", "escaped twice", "without a body"],
)
def test_the_token_is_found_even_where_nothing_else_can_be_read(event: Any) -> None:
    assert find_task_token(event) == TOKEN


@pytest.mark.parametrize(
    "body",
    [f'{{"TaskToken": "{TOKEN}", ', f'{{"TaskToken": "{TOKEN[:30]}', [TOKEN], f'["{TOKEN}"]', f'"{TOKEN}"'],
)
def test_a_refusal_never_shows_the_token(body: object) -> None:
    with pytest.raises(RequestError) as caught:
        parse_message({"body": body})
    assert TOKEN[:12] not in str(caught.value)


@given(json_values | st.builds(lambda body: {"body": body}, json_values | st.text()))
def test_whatever_arrives_is_a_message_or_refused_as_one(event: object) -> None:
    find_task_token(event)
    with pytest.raises(RequestError):
        parse_message(event)


PATH = S3Uri("assets", "pipelines/train/1-train/output/8a-1/files/")


def second_step(**parameters: object) -> VamsMessage:
    """As VAMS asks for a workflow's second step: its input is what the first one wrote."""
    return VamsMessage(
        output_s3_asset_files_path=PATH,
        input_s3_asset_file_path=PATH,
        output_s3_asset_metadata_path=S3Uri("assets", "metadata/"),
        input_parameters={"trainingConfig": parameters},
    )


def test_the_first_step_of_a_workflow_is_the_run_of_its_output_path() -> None:
    step = VamsMessage(
        output_s3_asset_files_path=PATH,
        output_s3_asset_metadata_path=S3Uri("assets", "metadata/"),
        input_s3_asset_file_path=S3Uri("assets", "a/robot.usd"),
        bucket_asset="assets",
        input_asset_location_key="asset-1",
    )
    found = step.neutral()
    assert step.run_id == run_id_of(PATH)
    assert found.output_files == output_prefix_of(PATH)
    assert found.output_metadata == S3Uri("assets", "metadata/8a-1/")
    assert not found.shares_outputs
    assert found.folders == [S3Uri("assets", "a/"), S3Uri("assets", "asset-1/")]


def test_further_steps_of_a_workflow_are_runs_of_their_own_and_write_beside_it() -> None:
    steps = [second_step(mode="evaluate", seed=seed) for seed in (1, 2)]
    assert len({*(step.run_id for step in steps), run_id_of(PATH)}) == 3
    for step in steps:
        found = step.neutral()
        assert found.shares_outputs
        assert (found.output_files, found.output_metadata) == (PATH, S3Uri("assets", "metadata/"))
        assert found.folders[0] == output_prefix_of(PATH)


def test_a_step_that_is_tried_again_means_the_same_run() -> None:
    assert second_step(seed=1).run_id == second_step(seed=1).run_id


def test_a_message_keeps_its_digest_for_ever() -> None:
    # A step that is tried again after an update is told apart by what the version before has written down.
    assert second_step(seed=1).digest == "7425153dda6b7ecc18b8f9e703c55699509dd44497318d11316f7107b1adab60"
    assert re.fullmatch(r"run-[0-9a-f]{20}", second_step().run_id)


def test_what_an_older_launch_has_handed_on_is_read_in_our_words() -> None:
    step = second_step(seed=1)
    assert read_older(to_json(step)) == step.neutral()
    assert read_older(step.neutral()) == step.neutral()
    assert read_older(to_json(step.neutral())) == to_json(step.neutral())
