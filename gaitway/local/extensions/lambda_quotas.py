"""What Lambda refuses for its size: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""

import json
from functools import cache
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation.handlers import Created
from gaitway.local.services import Json

_ENVIRONMENT_BYTES = 4 * 1024
_PAYLOAD_BYTES = 6_291_456
"""For a synchronous invocation; zaccharles.medium.com has quoted the message of the refusal."""


def _check_environment(properties: Json) -> None:
    """Refuse with Lambda's message: github.com/github-aws-runners/terraform-aws-github-runner/issues/3594.

    Raises:
        ValueError: A function's environment variables are too large.
    """
    variables = json.dumps((properties.get("Environment") or {}).get("Variables") or {}, separators=(",", ":"))
    if len(variables.encode()) > _ENVIRONMENT_BYTES:
        raise ValueError(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {variables}"
        )


@cache
def register() -> None:
    """Install the checks; a second call changes nothing."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handler["create"], handler["update"]

    def create_checked(logical_id: str, properties: Json, stack_name: str) -> Created:
        _check_environment(properties)
        created: Created = create(logical_id, properties, stack_name)
        return created

    def update_checked(physical_id: str, old: Json, new: Json, *context: str) -> Created:
        _check_environment(new)
        updated: Created = update(physical_id, old, new, *context)
        return updated

    handler.update(create=create_checked, update=update_checked)
    handle_request = lambda_svc.handle_request

    async def handle_smaller(method: str, path: str, headers: Json, body: bytes, query_params: Json) -> Any:  # noqa: ANN401
        is_async = headers.get("x-amz-invocation-type") == "Event"
        if path.endswith("/invocations") and not is_async and len(body) > _PAYLOAD_BYTES:
            return error_response_json(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {_PAYLOAD_BYTES} bytes for the InvokeFunction operation",
                413,
            )
        return await handle_request(method, path, headers, body, query_params)

    lambda_svc.handle_request = handle_smaller
