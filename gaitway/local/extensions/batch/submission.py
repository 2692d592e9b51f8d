"""From SubmitJob's request to a job."""

import os
import time
import uuid

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.model import Job, JobStatus
from gaitway.local.extensions.batch.nodes import node_properties
from gaitway.local.extensions.batch.overrides import container_of
from gaitway.local.extensions.batch.quotas import check_job, overrides_length
from gaitway.local.extensions.batch.resources import Resources, arn
from gaitway.local.services import Json

SHORT_TIMEOUTS_VARIABLE = "GAITWAY_LOCAL_SHORT_TIMEOUTS"
"""For tests only: with it, an attempt may be given less time than Batch allows."""

_SHORTEST_TIMEOUT_SECONDS = 60

_UNSUPPORTED = ("arrayProperties", "dependsOn", "eksPropertiesOverride", "ecsPropertiesOverride")


def new_job(request: Json, resources: Resources) -> Job:
    """Create the job that a request describes.

    Raises:
        ClientError: Queue or definition do not exist or are not enabled, or need something that is not supported here.
    """
    for name in _UNSUPPORTED:
        if request.get(name):
            raise ClientError(f"{name} is not supported by the embedded AWS Batch")
    check_job(request)
    queue = resources.job_queue(request["jobQueue"])
    if queue["state"] != "ENABLED":
        raise ClientError(f"Job Queue {queue['jobQueueName']} is not in ENABLED state.")
    if queue.get("jobQueueType") == "SAGEMAKER_TRAINING":
        raise ClientError(f"Job Queue {queue['jobQueueName']} takes service jobs only.")
    definition = resources.job_definition(request["jobDefinition"])
    if definition["status"] != "ACTIVE":
        raise ClientError(f"JobDefinition {request['jobDefinition']} is not in ACTIVE status")
    parameters = definition.get("parameters", {}) | request.get("parameters", {})
    job_id = str(uuid.uuid4())
    return Job(
        job_id=job_id,
        job_arn=arn("job", job_id),
        job_name=request["jobName"],
        job_queue=queue["jobQueueArn"],
        job_definition=definition["jobDefinitionArn"],
        status=JobStatus.SUBMITTED,
        created_at=now_ms(),
        timeout=_timeout(request, definition),
        retry_strategy=request.get("retryStrategy") or definition.get("retryStrategy") or {},
        parameters=parameters,
        tags=request.get("tags", {}),
        overrides_length=overrides_length(request),
        **_work(request, definition, parameters),
    )


def now_ms() -> int:
    """Return the time as Batch gives it: in milliseconds since the epoch."""
    return int(time.time() * 1000)


def _timeout(request: Json, definition: Json) -> Json | None:
    """docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html: it is 60 seconds at least."""
    timeout: Json | None = request.get("timeout") or definition.get("timeout")
    is_short = timeout is not None and timeout["attemptDurationSeconds"] < _SHORTEST_TIMEOUT_SECONDS
    if is_short and SHORT_TIMEOUTS_VARIABLE not in os.environ:
        raise ClientError(
            "Error executing request, Exception : attemptDurationSeconds must be at least "
            f"{_SHORTEST_TIMEOUT_SECONDS}, got {timeout['attemptDurationSeconds'] if timeout else 0}"
        )
    return timeout


def _work(request: Json, definition: Json, parameters: dict[str, str]) -> Json:
    """Return what the job runs: a container, or nodes. Overrides for one do not apply to the other."""
    if "nodeProperties" in definition:
        if request.get("containerOverrides"):
            raise ClientError("containerOverrides cannot be set for a multi-node parallel job: set nodeOverrides")
        return {"node_properties": node_properties(definition, request.get("nodeOverrides", {}), parameters)}
    if request.get("nodeOverrides"):
        raise ClientError("nodeOverrides can be set only where the job definition has nodeProperties")
    if "containerProperties" not in definition:
        raise ClientError("only containerProperties and nodeProperties are supported by the embedded AWS Batch")
    overrides = request.get("containerOverrides", {})
    return {"container": container_of(definition["containerProperties"], overrides, parameters)}
