"""AWS::Batch::ComputeEnvironment, JobQueue and JobDefinition. Ref returns the ARN of each."""

from typing import Any

from gaitway.local.extensions.batch import service
from gaitway.local.extensions.cloudformation.handlers import Created, Handler, generated_name
from gaitway.local.services import Json

# Maps whose keys are the user's own.
_FREE_FORM = {"Labels", "Options", "Parameters", "Tags"}


def to_api(properties: Json) -> Json:
    """Turn CloudFormation's PascalCase properties into the API's camelCase."""
    return {
        key[0].lower() + key[1:]: value if key in _FREE_FORM else _convert(value) for key, value in properties.items()
    }


def _convert(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return to_api(value)
    return [_convert(item) for item in value] if isinstance(value, list) else value


def _create_compute_environment(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"computeEnvironmentName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = service().resources.create_compute_environment(request)["computeEnvironmentArn"]
    return arn, {"ComputeEnvironmentArn": arn}


def _update_compute_environment(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    request = to_api(new)
    request.pop("computeEnvironmentName", None)
    service().resources.update_compute_environment(request | {"computeEnvironment": arn})
    service().jobs.dispatch()
    return arn, {"ComputeEnvironmentArn": arn}


def _delete_compute_environment(arn: str, properties: Json) -> None:
    service().resources.update_compute_environment({"computeEnvironment": arn, "state": "DISABLED"})
    service().delete_compute_environment({"computeEnvironment": arn})


def _create_job_queue(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"jobQueueName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = service().create_job_queue(request)["jobQueueArn"]
    return arn, {"JobQueueArn": arn}


def _update_job_queue(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    request = to_api(new)
    request.pop("jobQueueName", None)
    service().resources.update_job_queue(request | {"jobQueue": arn})
    service().jobs.dispatch()
    return arn, {"JobQueueArn": arn}


def _delete_job_queue(arn: str, properties: Json) -> None:
    service().resources.update_job_queue({"jobQueue": arn, "state": "DISABLED"})
    service().delete_job_queue({"jobQueue": arn})


def _register_job_definition(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"jobDefinitionName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = service().resources.register_job_definition(request)["jobDefinitionArn"]
    return arn, {"JobDefinitionArn": arn}


def _revise_job_definition(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    """Register the next revision under the same name, and deregister the one before.

    It happens at once, while functions may still know the old revision:
    github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1761
    """
    resources = service().resources
    known = resources.job_definition(arn)
    name = known["jobDefinitionName"]
    # After a rollback, it is a later one than is known.
    current = arn if known["status"] == "ACTIVE" else resources.job_definition(name)["jobDefinitionArn"]
    created = _register_job_definition("", {"JobDefinitionName": name} | new, stack_name)
    resources.deregister_job_definition({"jobDefinition": current})
    _before_update[name] = old
    return created


_before_update: dict[str, Json] = {}
"""The properties of job definitions that an update has changed that has not ended, by name."""


def _deregister_job_definition(arn: str, properties: Json) -> None:
    """Deregister a revision: with its stack, or after an update that replaced it.

    MiniStack deletes the old revision after an update, or the new one if the update fails, and then returns to the
    old one. CloudFormation's rollback is another update, and so creates another revision.
    """
    resources = service().resources
    definition = resources.job_definition(arn)
    name = definition["jobDefinitionName"]
    before = _before_update.pop(name, None)
    if definition["status"] == "ACTIVE":
        resources.deregister_job_definition({"jobDefinition": arn})
        if before is not None:
            _register_job_definition("", {"JobDefinitionName": name} | before, "")
    elif before is None:
        # Its stack goes, in which an update was rolled back.
        resources.deregister_job_definition({"jobDefinition": name})


HANDLERS: dict[str, Handler] = {
    "AWS::Batch::ComputeEnvironment": {
        "create": _create_compute_environment,
        "update": _update_compute_environment,
        "delete": _delete_compute_environment,
    },
    "AWS::Batch::JobQueue": {
        "create": _create_job_queue,
        "update": _update_job_queue,
        "delete": _delete_job_queue,
    },
    "AWS::Batch::JobDefinition": {
        "create": _register_job_definition,
        "update": _revise_job_definition,
        "delete": _deregister_job_definition,
    },
}
