"""No request, however odd, is anything but a run or a refusal that its caller is told; and a valid one is a run."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import Request, parse_request
from lambdas.observability import logger
from tests.checkpoints import checkpoint
from tests.fuzz.control_plane import ControlPlane, Outcome, message
from tests.fuzz.effort import examples
from tests.fuzz.from_models import Json, requests
from tests.fuzz.odd import any_json, config_files, messages, near_requests, odd_texts, parameters
from tests.fuzz.wire import Wire

CONFIG = "assets/asset-1/request.json"
MUST_NOT_BE_RETRIED = "whatever is wrong with a request is wrong with it the next time, too"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)  # thousands of lines
    yield ControlPlane()
    logger.setLevel(level)


def check(outcome: Outcome) -> None:
    """Check what holds for every outcome."""
    if outcome.refusal is None:
        assert outcome.constructed is not None
        return
    assert outcome.refusal.error in ("RequestError", "InputNotFoundError", "CustomEnvironmentError")
    assert not outcome.refusal.retryable, MUST_NOT_BE_RETRIED
    assert outcome.refusal.cause


@examples(200)
@given(requests())
def test_a_valid_request_is_understood_and_says_again_what_was_understood(document: Json) -> None:
    request = parse_request(document)
    assert parse_request(json.dumps(document)) == request
    assert parse_request(request.model_dump_json(by_alias=True)) == request
    assert parse_request("", document, None, {}) == request


@examples(200)
@given(parameters, parameters)
def test_whatever_is_asked_for_is_a_request_or_refused_as_one(below: Any, above: Any) -> None:
    with suppress(RequestError):
        assert isinstance(parse_request(below, above), Request)


@examples(200)
@given(requests(mode="train"), st.booleans(), st.booleans())
def test_a_valid_training_gets_its_job(plane: ControlPlane, document: Json, as_text: bool, in_body_text: bool) -> None:
    asked = message(inputParameters=json.dumps(document) if as_text else document)
    event = {"body": json.dumps(asked) if in_body_text else asked}
    content = checkpoint(document["trainingConfig"].get("rlLibrary") or "rsl_rl")
    outcome = plane.put_through(event, Wire(everything_exists=True, content=content))
    assert outcome.constructed is not None, outcome.refusal


@examples(200)
@given(requests(mode="evaluate"), st.sampled_from(["", "s3://assets/asset-1/model_9.pt"]))
def test_a_valid_evaluation_gets_its_job_where_there_is_a_policy(
    plane: ControlPlane, document: Json, file: str
) -> None:
    training = document["trainingConfig"]
    if not any(training.get(field) for field in ("policyS3Uri", "policyPath", "checkpointPath")):
        file = "s3://assets/asset-1/model_9.pt"
    event = {"body": message(inputParameters=document, inputS3AssetFilePath=file)}
    content = checkpoint(document["trainingConfig"].get("rlLibrary") or "rsl_rl")
    outcome = plane.put_through(event, Wire(everything_exists=True, content=content))
    assert outcome.constructed is not None, outcome.refusal


@examples(200)
@given(requests(), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_a_valid_request_may_come_as_a_file(plane: ControlPlane, document: Json, byte_order_mark: bytes) -> None:
    document["trainingConfig"].setdefault("mode", "train")
    if document["trainingConfig"]["mode"] == "evaluate":
        document["trainingConfig"] = {"mode": "evaluate", "policyS3Uri": "s3://assets/model_9.pt"}
    content = checkpoint(document["trainingConfig"].get("rlLibrary") or "rsl_rl")
    body = byte_order_mark + json.dumps(document).encode()
    wire = Wire({CONFIG: body}, everything_exists=True, content=content)
    outcome = plane.put_through({"body": message(inputS3AssetFilePath=f"s3://{CONFIG}")}, wire)
    assert outcome.constructed is not None, outcome.refusal


@examples(600)
@given(parameters, st.booleans(), st.booleans())
def test_odd_parameters_are_a_run_or_a_refusal(
    plane: ControlPlane, odd: Any, everything_exists: bool, has_file: bool
) -> None:
    # Beside a file, parameters are looked at together with it: by the next function.
    files = {CONFIG: b"{}"} if has_file else {}
    event = {"body": message(inputParameters=odd, inputS3AssetFilePath=f"s3://{CONFIG}" if has_file else "")}
    check(plane.put_through(event, Wire(files, everything_exists=everything_exists)))


@examples(200)
@given(config_files, parameters | st.just(""), st.booleans())
def test_an_odd_file_is_a_run_or_a_refusal(plane: ControlPlane, file: bytes, odd: Any, everything_exists: bool) -> None:
    wire = Wire({CONFIG: file}, everything_exists=everything_exists)
    event = {"body": message(inputParameters=odd, inputS3AssetFilePath=f"s3://{CONFIG}")}
    check(plane.put_through(event, wire))


@examples(500)
@given(st.data(), near_requests() | requests(), st.booleans())
def test_an_odd_message_is_a_run_or_a_refusal(
    plane: ControlPlane, data: st.DataObject, document: Json, everything_exists: bool
) -> None:
    body: Any = data.draw(messages(message(inputParameters=document)))
    if data.draw(st.booleans()):
        text = json.dumps(body)
        body = text[: data.draw(st.integers(0, len(text)))]
    check(plane.put_through({"body": body}, Wire(everything_exists=everything_exists)))


@examples(200)
@given(any_json | odd_texts | st.builds(lambda body: {"body": body}, any_json | odd_texts))
def test_an_event_that_is_no_message_starts_nothing(plane: ControlPlane, event: Any) -> None:
    outcome = plane.put_through(event)
    assert outcome.constructed is None
    check(outcome)


@examples(200)
@given(odd_texts)
def test_a_caller_whose_message_cannot_be_read_is_told_nevertheless(plane: ControlPlane, odd: str) -> None:
    start = '{"TaskToken": "AQCoAAAAKgAAAAMAAAAAAAAAASecret+marker/of=the=task", "inputParameters": '
    check(plane.put_through({"body": start + odd}))
