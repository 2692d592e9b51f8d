"""AWS::Batch::ServiceEnvironment and SchedulingPolicy. Ref returns the ARN of each."""

from gaitway.local.extensions.cloudformation.batch import to_api
from gaitway.local.extensions.cloudformation.handlers import Created, Handler, generated_name
from gaitway.local.extensions.sagemaker import queue
from gaitway.local.services import Json


def _create_service_environment(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"serviceEnvironmentName": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = queue().environments.create(request)["serviceEnvironmentArn"]
    return arn, {"ServiceEnvironmentArn": arn}


def _update_service_environment(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    queue().environments.update(to_api(new) | {"serviceEnvironment": arn})
    queue().dispatch()
    return arn, {"ServiceEnvironmentArn": arn}


def _delete_service_environment(arn: str, properties: Json) -> None:
    queue().environments.update({"serviceEnvironment": arn, "state": "DISABLED"})
    queue().environments.delete({"serviceEnvironment": arn})


def _create_scheduling_policy(logical_id: str, properties: Json, stack_name: str) -> Created:
    request = {"name": generated_name(stack_name, logical_id)} | to_api(properties)
    arn = queue().environments.create_policy(request)["arn"]
    return arn, {"Arn": arn}


def _update_scheduling_policy(arn: str, old: Json, new: Json, stack_name: str) -> Created:
    queue().environments.update_policy(to_api(new) | {"arn": arn})
    return arn, {"Arn": arn}


def _delete_scheduling_policy(arn: str, properties: Json) -> None:
    queue().environments.delete_policy({"arn": arn})


HANDLERS: dict[str, Handler] = {
    "AWS::Batch::ServiceEnvironment": {
        "create": _create_service_environment,
        "update": _update_service_environment,
        "delete": _delete_service_environment,
    },
    "AWS::Batch::SchedulingPolicy": {
        "create": _create_scheduling_policy,
        "update": _update_scheduling_policy,
        "delete": _delete_scheduling_policy,
    },
}
