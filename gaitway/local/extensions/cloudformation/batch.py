"""AWS::Batch::ComputeEnvironment, JobQueue and JobDefinition. Ref returns the ARN of each."""

from typing import Any

from gaitway.local.extensions.batch import service
from gaitway.local.extensions.cloudformation.handlers import Created, Handler, generated_name
from gaitway.local.services import Json

# Maps whose keys are the user's own words.
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
    service().resources.delete_compute_environment({"computeEnvironment": arn})


def _create_job_queue(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"jobQueueName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = service().resources.create_job_queue(request)["jobQueueArn"]
    return arn, {"JobQueueArn": arn}


def _update_job_queue(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    request = to_api(new)
    request.pop("jobQueueName", None)
    service().resources.update_job_queue(request | {"jobQueue": arn})
    service().jobs.dispatch()
    return arn, {"JobQueueArn": arn}


def _delete_job_queue(arn: str, properties: Json) -> None:
    service().resources.update_job_queue({"jobQueue": arn, "state": "DISABLED"})
    service().resources.delete_job_queue({"jobQueue": arn})


def _register_job_definition(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"jobDefinitionName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = service().resources.register_job_definition(request)["jobDefinitionArn"]
    return arn, {"JobDefinitionArn": arn}


def _revise_job_definition(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    """Register the next revision under the same name: a job definition cannot be changed."""
    name = service().resources.job_definition(arn)["jobDefinitionName"]
    return _register_job_definition("", {"JobDefinitionName": name} | new, stack_name)


def _deregister_job_definition(arn: str, properties: Json) -> None:
    service().resources.deregister_job_definition({"jobDefinition": arn})


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
