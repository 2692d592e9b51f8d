"""CloudFormation's requests to a custom resource, and their answers.

docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_pascal

from gaitway.contracts.model import Model

_MAX_ANSWER_BYTES = 4096
"""docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html; about a longer one CloudFormation
says only "Response object is too long"."""


class CustomResourceEvent(Model):
    """One request."""

    # An error must not print the address of the answer: everyone who knows it may answer.
    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore", hide_input_in_errors=True)

    request_type: Literal["Create", "Update", "Delete"]
    request_id: str
    response_url: str = Field(alias="ResponseURL", repr=False)
    stack_id: str
    logical_resource_id: str
    physical_resource_id: str | None = None


def answer(
    event: CustomResourceEvent,
    physical_id: str,
    *,
    data: Mapping[str, str] | None = None,
    failure: str | None = None,
    last_lines: Sequence[str] = (),
) -> None:
    """Send CloudFormation the outcome of the request.

    Args:
        event: The request.
        physical_id: The resource's present id. If it differs from the former one, CloudFormation deletes that one next.
        data: Its attributes.
        failure: Why the request failed.
        last_lines: The end of a log, to follow it: as many of the last lines as fit.
    """
    document = {
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": "",
        # A deletion must not change it.
        "PhysicalResourceId": (event.physical_resource_id if event.request_type == "Delete" else None) or physical_id,
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_resource_id,
        "Data": dict(data or {}),
    }
    document["Reason"] = _fitting(failure or "", last_lines, _MAX_ANSWER_BYTES - len(json.dumps(document)))
    request = urllib.request.Request(  # noqa: S310  # CloudFormation's own address
        event.response_url,
        data=json.dumps(document).encode(),
        method="PUT",
        # The address is signed for none.
        headers={"Content-Type": ""},
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def _fitting(failure: str, last_lines: Sequence[str], room: int) -> str:
    """Write what happened, and the end of a log, within the limit of bytes of JSON."""
    # Each character takes at least one.
    failure = failure[:room]
    while _size(failure) > room:
        failure = failure[:-1]
    lines = list(last_lines)
    while lines and _size("\n".join([failure, *lines])) > room:
        del lines[0]
    return "\n".join([failure, *lines])


def _size(text: str) -> int:
    """Count the bytes of a text in JSON, without its quotation marks."""
    return len(json.dumps(text)) - 2
