"""What CloudFormation asks of a custom resource, and how it is answered.

docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_pascal

from gaitway.contracts.model import Model

_MAX_REASON_CHARACTERS = 2000
"""CloudFormation takes an answer of 4096 bytes."""


class CustomResourceEvent(Model):
    """One request."""

    # An error must not print the address of the answer: whoever has it may answer.
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
) -> None:
    """Tell CloudFormation how the request ended.

    Args:
        event: The request.
        physical_id: What the resource is now. Where that is not what it was, CloudFormation deletes the old one next.
        data: Its attributes.
        failure: Why it is not as asked for.
    """
    document = {
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": (failure or "")[:_MAX_REASON_CHARACTERS],
        # A deletion must not change it.
        "PhysicalResourceId": (event.physical_resource_id if event.request_type == "Delete" else None) or physical_id,
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_resource_id,
        "Data": dict(data or {}),
    }
    request = urllib.request.Request(  # noqa: S310  # CloudFormation's own address
        event.response_url,
        data=json.dumps(document).encode(),
        method="PUT",
        # The address is signed for none.
        headers={"Content-Type": ""},
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
