"""What a request is about: the resources and condition keys by which a policy judges it.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.parsers import create_parser
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

from gaitway.local.extensions import batch
from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.resources import arn
from gaitway.local.services import Json

_Extract = Callable[..., str]
_Enforce = Callable[..., Any]
_Context = Callable[[str, str, bytes, dict[str, Any]], dict[str, Any]]

_KEY_CONDITION = re.compile(r"([#\w.-]+)\s*=\s*(:\w+)")


class _Several(str):
    """Resources of one request, which must be allowed on each of them. MiniStack passes on, and names, the first."""

    __slots__ = ("further", "others")
    others: tuple[str, ...]
    further: tuple[tuple[str, str], ...]
    """Other actions that must also be allowed, each with its resource."""


def _several(first: str, *others: str) -> _Several:
    several = _Several(first)
    several.others = others
    several.further = ()
    return several


def _with_our_resources(extract_resource_arn: _Extract) -> _Extract:
    def extract(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any],
        region: str, account_id: str,
    ) -> str:  # fmt: skip
        if service == "batch" and method == "POST":
            return _batch_resource(path.rstrip("/").rpartition("/")[2].lower(), _document(body))
        if service == "states" and (token := _document(body).get("taskToken")):
            return _machine_of(token) or f"arn:aws:states:{region}:{account_id}:stateMachine:unknown"
        if service == "sagemaker":
            name = _document(body).get("TrainingJobName")
            return f"arn:aws:sagemaker:{region}:{account_id}:training-job/{name}" if name else "*"
        if service == "codebuild" and (builds := _document(body).get("ids")):
            # Builds are described with a permission on their project; their ids begin with its name.
            projects = {str(build).partition(":")[0] for build in builds}
            return _several(*(f"arn:aws:codebuild:{region}:{account_id}:project/{project}" for project in projects))
        resource = extract_resource_arn(service, method, path, headers, body, query, region, account_id)
        if service == "logs" and (group := _document(body).get("logGroupName")) and resource.endswith(f":{group}"):
            # A policy names a group as `log-group:NAME:*`, and so its streams:
            # docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
            return f"{resource}:log-stream:{_document(body).get('logStreamName', '')}"
        return resource

    return extract


def _batch_resource(operation: str, request: Json) -> str:
    """Batch: list and describe calls have no resource, a submission has a definition and a queue."""
    resources = batch.service().resources
    # What does not exist is Batch's to refuse.
    try:
        if operation == "submitjob":
            definition = resources.job_definition(request["jobDefinition"])["jobDefinitionArn"]
            several = _several(definition, resources.job_queue(request["jobQueue"])["jobQueueArn"])
            if request.get("tags"):
                # docs.aws.amazon.com/service-authorization/latest/reference/list_awsbatch.html
                several.further = (("batch:TagResource", arn("job", "new")),)
            return several
        if operation == "submitservicejob":
            queue = resources.job_queue(request["jobQueue"])["jobQueueArn"]
            new = arn("service-job", "new")
            several = _several(queue, new)
            if request.get("tags"):
                several.further = (("batch:TagResource", new),)
            return several
    except (ClientError, KeyError):
        return "*"
    if operation == "terminateservicejob":
        return arn("service-job", str(request.get("jobId")))
    if operation in ("terminatejob", "canceljob"):
        return arn("job", str(request.get("jobId")))
    return "*"


def _machine_of(token: str) -> str | None:
    """A task's token is answered with a permission on its state machine; what is none is Step Functions' to refuse."""
    try:
        execution = base64.b64decode(token, validate=True).partition(b"#")[0].decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]


def _on_each_resource(enforce: _Enforce) -> _Enforce:
    def enforce_on_each(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Json | None = None,
    ) -> object:
        resources = (resource_arn, *resource_arn.others) if isinstance(resource_arn, _Several) else (resource_arn,)
        further = resource_arn.further if isinstance(resource_arn, _Several) else ()
        judged = (*((action, one) for one in resources), *further)
        denials = (enforce(access_key, what, service, region, one, service_context) for what, one in judged)
        return next((denial for denial in denials if denial is not None), None)

    return enforce_on_each


def _with_our_keys(request_tag_context: _Context) -> _Context:
    def context(service: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        keys = request_tag_context(service, action, body, parameters)
        if service == "dynamodb":
            keys["dynamodb:LeadingKeys"] = sorted(set(_leading_keys(_document(body))))
        if action in ("batch:SubmitJob", "batch:SubmitServiceJob"):
            keys |= {f"aws:RequestTag/{key}": value for key, value in _document(body).get("tags", {}).items()}
        if action in ("batch:TerminateJob", "batch:CancelJob"):
            keys |= {f"aws:ResourceTag/{key}": value for key, value in _tags_of_job(_document(body)).items()}
        if action == "batch:TerminateServiceJob":
            tags = batch.service().tags_of(arn("service-job", str(_document(body).get("jobId"))))
            keys |= {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        if action == "cloudwatch:PutMetricData" and (namespace := _namespace(body, parameters)):
            keys["cloudwatch:namespace"] = namespace
        if action == "events:PutEvents":
            # docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
            sources = sorted({str(entry.get("Source")) for entry in _document(body).get("Entries", [])})
            keys["events:source"] = sources[0] if len(sources) == 1 else sources
        return keys

    return context


def _tags_of_job(request: Json) -> dict[str, str]:
    return next((job.tags for job in batch.service().jobs.get([str(request.get("jobId"))])), {})


def _leading_keys(request: Json) -> Iterator[str]:
    """Yield the partition keys that a request touches; a request on a whole table has none.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    for operation in _operations(request):
        table = dynamodb._tables.get(str(operation.get("TableName")).rpartition("/")[2]) or {}
        name = table.get("pk_name")
        for item in (operation.get("Key"), operation.get("Item")):
            if isinstance(item, dict) and name in item:
                yield from map(str, item[name].values())
        names, values = operation.get("ExpressionAttributeNames", {}), operation.get("ExpressionAttributeValues", {})
        for attribute, value in _KEY_CONDITION.findall(operation.get("KeyConditionExpression", "")):
            if names.get(attribute, attribute) == name and value in values:
                yield from map(str, values[value].values())


def _operations(request: Json) -> Iterator[Json]:
    """Yield the operations of a request on items: the request itself, or those of its transaction or batch."""
    yield request
    for item in request.get("TransactItems", []):
        yield from item.values()
    for table, items in request.get("RequestItems", {}).items():
        for item in items["Keys"] if isinstance(items, dict) else items:
            details = item.values() if isinstance(items, list) else [{"Key": item}]
            yield from ({"TableName": table} | one for one in details)


def _namespace(body: bytes, parameters: dict[str, Any]) -> str | None:
    """Read the namespace of PutMetricData, in each of CloudWatch's protocols."""
    if given := parameters.get("Namespace"):
        return str(given[0] if isinstance(given, list) else given)
    if body[:1] == b"{":
        return str(_document(body).get("Namespace"))
    parser: Any = create_parser("smithy-rpc-v2-cbor")
    try:
        document = parser.parse_data_item(io.BytesIO(body))
    except Exception:  # whatever it is, it is not CBOR
        return None
    return document.get("Namespace") if isinstance(document, dict) else None


def _document(body: bytes) -> Json:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _as_over_tls(pin_request_origin: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
    """Requests on the loopback interface count as sent over TLS, so that policies which demand TLS apply.

    The emulator listens on no other interface.
    """

    def pin(source_ip: str, secure_transport: bool) -> None:
        del secure_transport
        pin_request_origin(source_ip, True)

    return pin


def register() -> None:
    """Install resources and condition keys."""
    iam_actions.extract_resource_arn = _with_our_resources(iam_actions.extract_resource_arn)
    iam_actions.request_tag_context = _with_our_keys(iam_actions.request_tag_context)
    iam_evaluator.enforce = _on_each_resource(iam_evaluator.enforce)
    app.pin_request_origin = _as_over_tls(app.pin_request_origin)
