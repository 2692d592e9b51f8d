"""What CloudFormation is answered: never more than it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.custom_resource import CustomResourceEvent, answer
from tests.local.one_stack import answers_received

_LIMIT_BYTES = 4096
"""docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html"""


def answered(failure: str, last_lines: list[str]) -> dict[str, Any]:
    """Let the answer arrive, as CloudFormation does."""
    with answers_received() as (url, answers):
        event = CustomResourceEvent.model_validate(
            {
                "RequestType": "Create",
                "RequestId": "request",
                "ResponseURL": url,
                "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/GaitwayCompute/1",
                "LogicalResourceId": "ImageBuildImage1234",
            }
        )
        answer(event, "gaitway:tag", failure=failure, last_lines=last_lines)
        return answers.get(timeout=10)


@pytest.mark.parametrize("character", ["x", "é", "\N{SNOWMAN}", "\N{ROBOT FACE}", '"', "\n"])
def test_an_answer_is_never_longer_than_cloudformation_takes(character: str) -> None:
    for failure, lines in (
        (character * 10_000, []),
        ("short", [character * 300] * 50),
        (character * 10_000, [character] * 50),
    ):
        document = answered(failure, lines)
        assert len(json.dumps(document).encode()) <= _LIMIT_BYTES
        assert document["Status"] == "FAILED"
        assert document["Reason"]


def test_the_last_lines_follow_and_the_oldest_give_way() -> None:
    lines = [f"line {number:04} {'.' * 100}" for number in range(100)]
    reason = answered("The build failed.", lines)["Reason"].splitlines()
    assert reason[0] == "The build failed."
    assert 20 < len(reason) - 1 < 100
    assert reason[1:] == lines[-(len(reason) - 1) :]
