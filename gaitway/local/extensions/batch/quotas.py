"""What Batch refuses for its size, its number or its name.

docs.aws.amazon.com/batch/latest/userguide/service_limits.html
"""

import json
import re
from collections.abc import Iterator, Sized

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.services import Json

_KIB = 1024
_DEFINITION_KIB = 24
_JOB_KIB = 30
_COMPUTE_ENVIRONMENTS = 50
_JOB_QUEUES = 50
_COMPUTE_ENVIRONMENTS_OF_A_QUEUE = 3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html and API_RegisterJobDefinition.html"""
_OWN_PREFIX = "AWS_BATCH"
_MOST_ATTEMPTS = 10
_MOST_RULES = 5
_PATTERN_CHARACTERS = 512
"""docs.aws.amazon.com/batch/latest/userguide/service-job-retries.html"""
_HIGHEST_PRIORITY = 9999
_SHARE = re.compile(r"[A-Za-z0-9]{1,255}\*?")
"""docs.aws.amazon.com/batch/latest/APIReference/API_SubmitServiceJob.html and API_ShareAttributes.html"""
_TAG_KEY_CHARACTERS, _TAG_VALUE_CHARACTERS = 128, 256
"""docs.aws.amazon.com/batch/latest/userguide/using-tags.html"""

OVERRIDES_CHARACTERS = 8192
"""docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html"""
OVERRIDES_TOO_LONG = f"Container Overrides length must be at most {OVERRIDES_CHARACTERS}"
"""The status reason of such a job: github.com/ASFHyP3/hyp3/issues/3041"""


def check_job(request: Json) -> None:
    """Check a submission.

    Raises:
        ClientError: It is too large, or its name is not valid; the message of the first is the one that
            github.com/ASFHyP3/hyp3/issues/3041 quotes.
    """
    _check_size("Job", request, _JOB_KIB)
    _check_name("jobName", request["jobName"])
    overrides = [request.get("containerOverrides", {})]
    for item in request.get("nodeOverrides", {}).get("nodePropertyOverrides", []):
        overrides.append(item.get("containerOverrides", {}))
    for override in overrides:
        _check_environment(override)


def check_service_job(request: Json) -> None:
    """Check the submission of a service job: docs.aws.amazon.com/batch/latest/APIReference/API_SubmitServiceJob.html.

    Raises:
        ClientError: It is too large, or something in it is out of range. No page says how large a payload may be: the
            limit of other jobs counts.
    """
    _check_size("Job", request, _JOB_KIB)
    _check_name("jobName", request["jobName"])
    if request["serviceJobType"] != "SAGEMAKER_TRAINING":
        raise ClientError(f"Invalid serviceJobType: {request['serviceJobType']}")
    strategy = request.get("retryStrategy", {"attempts": 1})
    if not 1 <= strategy["attempts"] <= _MOST_ATTEMPTS:
        raise ClientError(f"attempts must be between 1 and {_MOST_ATTEMPTS}, got {strategy['attempts']}")
    rules = strategy.get("evaluateOnExit", [])
    if len(rules) > _MOST_RULES:
        raise ClientError(f"evaluateOnExit has at most {_MOST_RULES} rules, got {len(rules)}")
    for rule in rules:
        pattern = rule.get("onStatusReason", "")
        if len(pattern) > _PATTERN_CHARACTERS or "*" in pattern[:-1] or rule.get("action") not in ("RETRY", "EXIT"):
            raise ClientError(f"Invalid rule of evaluateOnExit: {rule}")
    if not 0 <= request.get("schedulingPriority", 0) <= _HIGHEST_PRIORITY:
        raise ClientError(f"schedulingPriority must be between 0 and {_HIGHEST_PRIORITY}")
    if not _SHARE.fullmatch(request.get("shareIdentifier", "any")):
        raise ClientError("shareIdentifier must have up to 255 letters and digits, with a star at the end at most")
    for key, value in request.get("tags", {}).items():
        if not 1 <= len(key) <= _TAG_KEY_CHARACTERS or len(value) > _TAG_VALUE_CHARACTERS:
            raise ClientError(f"Invalid tag: {key}")
    try:
        is_object = isinstance(json.loads(request["serviceRequestPayload"]), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise ClientError("serviceRequestPayload must be a JSON object")


def check_definition(request: Json) -> None:
    """Check a job definition.

    Raises:
        ClientError: It is too large, its name is none, or it sets variables that are Batch's own.
    """
    _check_size("Job definition", request, _DEFINITION_KIB)
    _check_name("jobDefinitionName", request["jobDefinitionName"])
    for container in _containers(request):
        _check_environment(container)


def check_queue(environments: Sized, others: Sized | None = None) -> None:
    """Check the number of a queue's compute environments, and the number of queues if it is new.

    Raises:
        ClientError: There are too many.
    """
    if len(environments) > _COMPUTE_ENVIRONMENTS_OF_A_QUEUE:
        raise ClientError(
            f"a job queue has at most {_COMPUTE_ENVIRONMENTS_OF_A_QUEUE} compute environments, not {len(environments)}"
        )
    if others is not None and len(others) >= _JOB_QUEUES:
        raise ClientError(f"there are {_JOB_QUEUES} job queues, which are as many as a Region has")


def check_number_of_environments(others: Sized) -> None:
    """Check that there is room for one more compute environment.

    Raises:
        ClientError: There is none.
    """
    if len(others) >= _COMPUTE_ENVIRONMENTS:
        raise ClientError(f"there are {_COMPUTE_ENVIRONMENTS} compute environments, which are as many as a Region has")


def overrides_length(request: Json) -> int:
    """Count the characters with which a submission overrides a container, and Batch's own variables with them."""
    written = [json.dumps(request.get("containerOverrides", {}))]
    written += [json.dumps(item) for item in request.get("nodeOverrides", {}).get("nodePropertyOverrides", [])]
    return max(map(len, written))


def _containers(request: Json) -> Iterator[Json]:
    yield request.get("containerProperties", {})
    for item in request.get("nodeProperties", {}).get("nodeRangeProperties", []):
        yield item.get("container", {})


def _check_size(what: str, request: Json, maximum_kib: int) -> None:
    kib = -(-len(json.dumps(request).encode()) // _KIB)
    if kib > maximum_kib:
        raise ClientError(
            f"Error executing request, Exception : {what} size must be less than {maximum_kib} KiB, got {kib} KiB"
        )


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ClientError(
            f"Error executing request, Exception : {field} should match valid pattern: up to 128 letters, digits, "
            f"hyphens and underscores, the first a letter or a digit; got {name!r}"
        )


def _check_environment(container: Json) -> None:
    """docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html: that prefix is reserved."""
    for variable in container.get("environment", []):
        if str(variable.get("name", "")).startswith(_OWN_PREFIX):
            raise ClientError(
                f"Error executing request, Exception : Environment variables cannot start with {_OWN_PREFIX}: "
                f"{variable['name']}"
            )
