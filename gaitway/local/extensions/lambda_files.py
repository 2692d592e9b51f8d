"""Lambda functions that mount an EFS file system.

MiniStack keeps their configuration, but loses it in CloudFormation, and mounts nothing. Here a function's environment
names the directory that stands for the access point, as a job's does (gaitway/local/extensions/efs.py).
"""

from functools import cache
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation.handlers import Created
from gaitway.local.extensions.efs import directory_of, rewrite
from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, file_system_of

_KEPT = ("FileSystemConfigs", "VpcConfig")


def with_directories(configuration: Json, runtime: Runtime) -> Json:
    """Return a function's configuration with directories in the place of its mount points.

    Raises:
        ValueError: It mounts a file system without being in a VPC, which AWS refuses.
    """
    mounts = configuration.get("FileSystemConfigs")
    if not mounts:
        return configuration
    if not (configuration.get("VpcConfig") or {}).get("SubnetIds"):
        raise ValueError(
            f"InvalidParameterValueException: {configuration['FunctionName']} mounts a file system, for which it must "
            "be connected to a VPC"
        )
    directories = {}
    for mount in mounts:
        access_point = mount["Arn"].rpartition("/")[2]
        directory = directory_of(runtime, file_system_of(access_point), access_point=access_point)
        directories[mount["LocalMountPath"].rstrip("/")] = directory
    variables = (configuration.get("Environment") or {}).get("Variables", {})
    rewritten = {name: rewrite(value, directories) for name, value in variables.items()}
    return configuration | {"Environment": {"Variables": rewritten}}


def _keep(name: str, properties: Json) -> None:
    configuration = lambda_svc._functions[name]["config"]
    for key in _KEPT:
        configuration.pop(key, None)
        if key in properties:
            configuration[key] = properties[key]


def _keep_in_cloudformation() -> None:
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handler["create"], handler["update"]

    def create_with_files(logical_id: str, properties: Json, stack_name: str) -> Created:
        created: Created = create(logical_id, properties, stack_name)
        _keep(created[0], properties)
        return created

    def update_with_files(physical_id: str, old: Json, new: Json, *context: str) -> Created:
        updated: Created = update(physical_id, old, new, *context)
        _keep(updated[0], new)
        lambda_svc.invalidate_worker(updated[0])
        return updated

    handler.update(create=create_with_files, update=update_with_files)


@cache
def register(runtime: Runtime) -> None:
    """Keep the configuration, and let functions' processes start with it; a second call changes nothing."""
    _keep_in_cloudformation()
    acquire_worker = lambda_svc.acquire_worker

    def acquire(name: str, configuration: Json, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        return acquire_worker(name, with_directories(configuration, runtime), *arguments, **options)

    lambda_svc.acquire_worker = acquire
