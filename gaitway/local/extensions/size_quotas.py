"""What EventBridge, S3 and CloudWatch refuse for its size or its name, and MiniStack takes."""

import re
from functools import cache
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch, eventbridge, s3

from gaitway.local.services import Json

_EVENTS_BYTES = 256 * 1024
"""docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html; many regions take 1 MB since January 2026:
aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb"""
_TIME_BYTES = 14
_KEY_BYTES = 1024
"""docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
_DASHBOARD = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html"""


def _size_of(entry: Json) -> int:
    texts = [entry.get(field) or "" for field in ("Source", "DetailType", "Detail")] + (entry.get("Resources") or [])
    return sum(len(str(text).encode()) for text in texts) + (_TIME_BYTES if "Time" in entry else 0)


def _limit_events() -> None:
    """Refuse entries with EventBridge's message: github.com/awslabs/aws-service-catalog-puppet/issues/563."""
    put_events = eventbridge._put_events

    def put_fewer(data: Json, allow_aws_source: bool = False) -> Any:  # noqa: ANN401
        if sum(_size_of(entry) for entry in data.get("Entries", [])) >= _EVENTS_BYTES:
            return error_response_json(
                "ValidationException", "Total size of the entries in the request is over the limit.", 400
            )
        return put_events(data, allow_aws_source)

    eventbridge._put_events = put_fewer


def _limit_keys() -> None:
    """Refuse keys as docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has it."""
    handle_request = s3.handle_request

    async def handle_shorter(method: str, path: str, headers: Json, *others: Any, **named: Any) -> Any:  # noqa: ANN401
        _, key = s3._parse_bucket_key(path, headers)
        size = len(key.encode())
        if size > _KEY_BYTES:
            sizes = {"Size": str(size), "MaxSizeAllowed": str(_KEY_BYTES)}
            return s3._error("KeyTooLongError", "Your key is too long", 400, extra=sizes)
        return await handle_request(method, path, headers, *others, **named)

    s3.handle_request = handle_shorter


def _refusal_of(dashboard: str) -> str | None:
    """Return what is wrong with a dashboard's name, with CloudWatch's message: github.com/aws/aws-cdk/issues/2976."""
    if _DASHBOARD.fullmatch(dashboard):
        return None
    return (
        f"The value {dashboard} for field DashboardName contains invalid characters. "
        "It can only contain alphanumerics, dash (-) and underscore (_)."
    )


def _limit_dashboards() -> None:
    put_dashboard, put_by_stack = cloudwatch._put_dashboard, cloudwatch.cloudformation_put_dashboard

    def put_named(params: Any, cbor_data: Any, is_cbor: bool, is_json: bool = False) -> Any:  # noqa: ANN401
        name = cbor_data.get("DashboardName") if is_cbor or is_json else cloudwatch._p(params, "DashboardName")
        if refusal := _refusal_of(name or ""):
            return cloudwatch._error("InvalidParameterInput", refusal, 400, use_json=is_json, use_cbor=is_cbor)
        return put_dashboard(params, cbor_data, is_cbor, is_json)

    def put_named_by_stack(name: str, body: str) -> Any:  # noqa: ANN401
        if refusal := _refusal_of(name):
            raise ValueError(refusal)
        return put_by_stack(name, body)

    cloudwatch._put_dashboard = put_named
    cloudwatch.cloudformation_put_dashboard = put_named_by_stack


@cache
def register() -> None:
    """Install the checks; a second call changes nothing."""
    _limit_events()
    _limit_keys()
    _limit_dashboards()
