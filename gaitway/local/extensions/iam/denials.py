"""Calls that a policy denied, as CloudTrail's event history shows them: LookupEvents.

Only denied calls are recorded, and of them only management events, as in an account without a trail: reading
an object or an item and calling a function are data events.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html

Events appear at once; AWS takes up to a quarter of an hour.
"""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import cloudtrail

from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.local.services import Json

_Enforce = Callable[..., Any]

_DATA_EVENTS = {
    "cloudwatch": ("PutMetricData", "GetMetric"),
    "dynamodb": (
        "BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan",
        "UpdateItem",
    ),
    "lambda": ("InvokeFunction",),
    "logs": ("FilterLogEvents", "GetLogEvents", "PutLogEvents"),
    "s3": ("AbortMultipartUpload", "DeleteObject", "GetObject", "ListBucket", "ListMultipartUploadParts", "PutObject"),
    "sns": ("Publish",),
    "sqs": ("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessage"),
}  # fmt: skip
"""Beginnings of the management actions that our roles call, by service."""
_QUERY_SERVICES = frozenset({"cloudformation", "cloudwatch", "iam", "s3", "sns", "sqs", "sts"})
"""Their errors are called AccessDenied, those of others AccessDeniedException, and EC2's otherwise again."""
_SOURCES = {"cloudwatch": "monitoring"}


def event_of(principal_arn: str, action: str, message: str) -> Json | None:
    """Describe a denied call as CloudTrail does; None for a data event.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html

    Args:
        principal_arn: The caller.
        action: The action's name in policies: `batch:SubmitJob`.
        message: Why it was denied.
    """
    service, _, name = action.partition(":")
    if name.startswith(_DATA_EVENTS.get(service, ())):
        return None
    code = "AccessDenied" if service in _QUERY_SERVICES else "AccessDeniedException"
    return {
        "eventVersion": "1.11",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": f"{_SOURCES.get(service, service)}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "errorCode": "Client.UnauthorizedOperation" if service == "ec2" else code,
        "errorMessage": message,
        "userIdentity": _identity(principal_arn),
        "eventID": str(uuid.uuid4()),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": ACCOUNT_ID,
    }


def _identity(principal_arn: str) -> Json:
    """Describe who called.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    kind, _, rest = principal_arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return {"type": "IAMUser", "arn": principal_arn, "accountId": ACCOUNT_ID}
    account = {"accountId": ACCOUNT_ID}
    role = rest.partition("/")[0]
    issuer = account | {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT_ID}:role/{role}", "userName": role}
    return account | {"type": "AssumedRole", "arn": principal_arn, "sessionContext": {"sessionIssuer": issuer}}


def _record(event: Json) -> None:
    queue: Any = cloudtrail._get_event_queue()
    queue.append(
        {
            "EventId": event["eventID"],
            "EventName": event["eventName"],
            "EventSource": event["eventSource"],
            "EventTime": time.time(),
            "Username": event["userIdentity"]["arn"].rpartition("/")[2],
            "Resources": [],
            "CloudTrailEvent": json.dumps(event),
        }
    )


def _recording(enforce: _Enforce) -> _Enforce:
    def enforce_and_record(access_key: str, action: str, *arguments: Any, **options: Any) -> object:  # noqa: ANN401
        denial = enforce(access_key, action, *arguments, **options)
        if isinstance(denial, iam_evaluator.EvalResult):
            event = event_of(denial.principal_arn, action, f"not authorized to perform: {action}")
            if event is not None:
                _record(event)
        return denial

    return enforce_and_record


def register() -> None:
    """Record what is denied from now on."""
    iam_evaluator.enforce = _recording(iam_evaluator.enforce)
