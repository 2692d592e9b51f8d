"""What the launch function receives: VAMS's message, whole or broken, and the token in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import find_task_token, parse_message
from tests.unit.contracts.test_request import json_values

TOKEN = "AQCoAAAAKgAAAAMAAAAAAAAAASecret+marker/of=the=task"


def message(**fields: object) -> dict[str, Any]:
    return {"TaskToken": TOKEN, "outputS3AssetFilesPath": "s3://assets/p/output/1/files/"} | fields


@pytest.mark.parametrize("body", [message(), json.dumps(message())], ids=["object", "text"])
def test_the_body_may_be_an_object_or_its_text(body: object) -> None:
    received = parse_message({"body": body})
    assert received.task_token == TOKEN
    assert received.message.output_s3_asset_files_path == S3Uri("assets", "p/output/1/files/")


def test_the_token_is_kept_apart_from_what_may_be_shown() -> None:
    received = parse_message({"body": message()})
    assert TOKEN not in repr(received)
    assert TOKEN not in received.message.model_dump_json()


def test_an_empty_field_means_that_it_does_not_apply_and_a_new_one_does_no_harm() -> None:
    received = parse_message(
        {"body": message(inputS3AssetFilePath="", bucketAsset="", executingRequestContext={"a": 1}, newInVams=[1])}
    )
    assert received.message.input_s3_asset_file_path is None
    assert received.message.bucket_asset is None


@pytest.mark.parametrize(
    ("path", "is_config"),
    [("s3://assets/a/run.json", True), ("s3://assets/a/RUN.JSON", True), ("s3://assets/a/cart.usd", False)],
)
def test_only_a_json_file_is_read_as_part_of_the_request(path: str, is_config: bool) -> None:
    file = parse_message({"body": message(inputS3AssetFilePath=path)}).message.config_file
    assert (file == S3Uri.parse(path)) if is_config else (file is None)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "body is missing"),
        ([], "body is missing"),
        ({"body": "{not json"}, "body is text that is no JSON"),
        ({"body": "[]"}, "body is a list"),
        ({"body": 3}, "body is a int"),
        ({"body": "[" * 100_000}, "body is nested too deeply"),
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
        ({"body": message(bucketAsset="a..b")}, "bucketAsset is 'a..b', allowed: must be the name of a bucket"),
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
