"""From SubmitJob's request to a job."""

import time
import uuid

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.model import Job, JobStatus
from gaitway.local.extensions.batch.nodes import node_properties
from gaitway.local.extensions.batch.overrides import container_of
from gaitway.local.extensions.batch.resources import Resources, arn
from gaitway.local.services import Json

_UNSUPPORTED = ("arrayProperties", "dependsOn", "eksPropertiesOverride", "ecsPropertiesOverride")


def new_job(request: Json, resources: Resources) -> Job:
    """Make the job that a request asks for.

    Raises:
        ClientError: Queue or definition do not exist or are not enabled, or ask for what is not supported here.
    """
    for name in _UNSUPPORTED:
        if request.get(name):
            raise ClientError(f"{name} is not supported by the embedded AWS Batch")
    queue = resources.job_queue(request["jobQueue"])
    if queue["state"] != "ENABLED":
        raise ClientError(f"Job Queue {queue['jobQueueName']} is not in ENABLED state.")
    definition = resources.job_definition(request["jobDefinition"])
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
        # Batch demands at least 60 seconds here; a shorter timeout is accepted so that tests need not wait for it.
        timeout=request.get("timeout") or definition.get("timeout"),
        retry_strategy=request.get("retryStrategy") or definition.get("retryStrategy") or {},
        parameters=parameters,
        tags=request.get("tags", {}),
        **_work(request, definition, parameters),
    )


def now_ms() -> int:
    """Return the time as Batch gives it: in milliseconds since the epoch."""
    return int(time.time() * 1000)


def _work(request: Json, definition: Json, parameters: dict[str, str]) -> Json:
    """Say what the job runs: a container, or nodes. The overrides of the one do not apply to the other."""
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
