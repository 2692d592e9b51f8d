"""Answers of custom resources.

CloudFormation reads at most 4096 bytes of an answer, and fails the resource with this message if it is longer:
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html, github.com/aws/aws-cdk/issues/2825.
"""

import json
from collections.abc import Callable
from functools import cache

from ministack.services.cloudformation import custom_resource

from gaitway.local.services import Json

_MAX_BYTES = 4096


def _no_longer(deliver_response: Callable[[str, Json], bool]) -> Callable[[str, Json], bool]:
    def deliver(token: str, response: Json) -> bool:
        # The most compact form, because the original formatting is not known here.
        if len(json.dumps(response, separators=(",", ":"), ensure_ascii=False).encode()) > _MAX_BYTES:
            response = {"Status": "FAILED", "Reason": "Response object is too long."}
        return deliver_response(token, response)

    return deliver


@cache
def register() -> None:
    """Refuse what is too long; a second call changes nothing."""
    custom_resource.deliver_response = _no_longer(custom_resource.deliver_response)
