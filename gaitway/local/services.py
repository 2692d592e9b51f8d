"""The inner functions of MiniStack that our extensions call: the one place that depends on their shape.

Each pins account and region itself, since extensions call them from threads that serve no request.
"""

import json
import re
import secrets
import time
from typing import Any, cast

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, request_scope
from ministack.services import cloudwatch, cloudwatch_logs, ec2, efs, eventbridge, iam, sts

from gaitway.local.runtime import ACCOUNT_ID, REGION

Json = dict[str, Any]
"""A document in AWS's own shape, as the API reference of its service gives it."""

Response = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


def json_response(document: Json) -> Response:
    """Answer a request of a rest-json service."""
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def error_response(code: str, message: str) -> Response:
    """Refuse a request of a rest-json service."""
    return cast("Response", error_response_json(code, message, 400, content_type="application/json"))


def put_event(source: str, detail_type: str, detail: Json, resources: list[str]) -> None:
    """Put an event of an AWS service on the default bus, where the rules deliver it."""
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": resources}
    with request_scope(ACCOUNT_ID, REGION):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def create_log_stream(group: str, stream: str, *, create_group: bool) -> bool:
    """Create a log stream.

    Returns:
        Whether its group exists.
    """
    with request_scope(ACCOUNT_ID, REGION):
        if create_group:
            cloudwatch_logs._create_log_group({"logGroupName": group})
        status, _, _ = cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
        return bool(status == 200)


def put_log_lines(group: str, stream: str, lines: list[str]) -> None:
    """Append lines to a log stream."""
    timestamp_ms = int(time.time() * 1000)
    events = [{"timestamp": timestamp_ms, "message": line} for line in lines]
    with request_scope(ACCOUNT_ID, REGION):
        cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})


def may_assume(service: str, role_arn: str) -> bool:
    """Say whether there is such a role, and whether it trusts a service of AWS."""
    with request_scope(ACCOUNT_ID, REGION):
        role = iam._roles.get(role_arn.rpartition("/")[2])
    if role is None or role["Arn"] != role_arn:
        return False
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=REGION,
    )
    trusts = iam_evaluator.evaluate_resource_policy(role["AssumeRolePolicyDocument"], context, service=service)
    return bool(trusts.decision == "Allow")


def open_role_session(role_arn: str, session_name: str, seconds: float) -> tuple[str, str, str]:
    """Open a session of a role, as ECS does for a task.

    Args:
        role_arn: The role.
        session_name: Shown in the session's ARN.
        seconds: How long it lasts.

    Returns:
        Access key, secret key and session token.
    """
    access_key = f"ASIA{secrets.token_hex(8).upper()}"
    secret_key, token = sts._gen_secret(), sts._gen_session_token()
    role_name = role_arn.rpartition("/")[2]
    sts.register_session(
        access_key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role_name}/{session_name}",
            "UserId": f"{role_name}:{session_name}",
            "SecretAccessKey": secret_key,
            "SessionToken": token,
            "Expiration": time.time() + seconds,
        },
    )
    return access_key, secret_key, token


def access_point_path(access_point_id: str) -> str:
    """Return the directory that an EFS access point presents as its root."""
    with request_scope(ACCOUNT_ID, REGION):
        access_point = efs._access_points.get(access_point_id) or {}
    return str(access_point.get("RootDirectory", {}).get("Path", "/"))


def file_system_of(access_point_id: str) -> str:
    """Return the file system that an EFS access point belongs to.

    Raises:
        ServiceError: There is no such access point.
    """
    with request_scope(ACCOUNT_ID, REGION):
        access_point = efs._access_points.get(access_point_id)
    if access_point is None:
        raise ServiceError(f"AccessPointNotFound: {access_point_id}")
    return str(access_point["FileSystemId"])


def file_system_exists(file_system_id: str) -> bool:
    """Say whether there is such a file system of EFS."""
    with request_scope(ACCOUNT_ID, REGION):
        return file_system_id in efs._file_systems


def zones_of(subnets: list[str]) -> set[str]:
    """Return the Availability Zones of subnets; what does not exist has none that anything could be in."""
    with request_scope(ACCOUNT_ID, REGION):
        return {
            str((ec2._subnets.get(subnet) or {}).get("AvailabilityZone", f"that of {subnet}")) for subnet in subnets
        }


def mounted_zones(file_system_id: str) -> set[str]:
    """Return the Availability Zones in which an EFS file system has a mount target."""
    with request_scope(ACCOUNT_ID, REGION):
        targets = list(efs._mount_targets.values())
    return {target["AvailabilityZoneName"] for target in targets if target["FileSystemId"] == file_system_id}


class ServiceError(Exception):
    """A service of MiniStack refused a call."""


def call_ec2(action: str, parameters: dict[str, str | None]) -> str:
    """Call EC2's query API; parameters that are None are left out.

    Returns:
        The response's XML.

    Raises:
        ServiceError: The call is refused.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    status, _, body = ec2._ACTION_MAP[action](given)
    text = body.decode() if isinstance(body, bytes) else str(body)
    if status != 200:
        raise ServiceError(text)
    return text


def element(xml: str, name: str) -> str:
    """Return the text of the first element of this name."""
    match = re.search(rf"<{name}>([^<]*)</{name}>", xml)
    if match is None:
        raise ServiceError(f"no <{name}> in {xml}")
    return match[1]


def call_cloudwatch(action: str, parameters: Json) -> None:
    """Call CloudWatch's JSON API.

    Raises:
        ServiceError: The call is refused.
    """
    operations = {"PutCompositeAlarm": cloudwatch._put_composite_alarm, "DeleteAlarms": cloudwatch._delete_alarms}
    status, _, body = operations[action]({}, parameters, False, True)
    if status != 200:
        raise ServiceError(body.decode() if isinstance(body, bytes) else str(body))
