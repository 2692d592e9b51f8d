"""Lambda functions that mount an EFS file system.

MiniStack keeps their configuration, but loses it in CloudFormation, and mounts nothing. Here a function's environment
names the directory that represents the access point, like a job's environment (gaitway/local/extensions/efs.py).
"""

from functools import cache
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation.handlers import Created
from gaitway.local.extensions.efs import directory_of
from gaitway.local.mounts import rewrite
from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, file_system_of, mounted_zones, zones_of

_KEPT = ("FileSystemConfigs", "VpcConfig")


def with_directories(configuration: Json, runtime: Runtime) -> Json:
    """Return a function's configuration with directories instead of its mount points.

    Raises:
        ValueError: It mounts a file system without being in a VPC, or in a zone without a mount target, which AWS
            refuses.
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
        file_system = file_system_of(access_point)
        _check_zones(file_system, mount["Arn"], configuration["VpcConfig"]["SubnetIds"])
        directory = directory_of(runtime, file_system, access_point=access_point)
        directories[mount["LocalMountPath"].rstrip("/")] = directory
    variables = (configuration.get("Environment") or {}).get("Variables", {})
    rewritten = {name: rewrite(value, directories) for name, value in variables.items()}
    return configuration | {"Environment": {"Variables": rewritten}}


def _check_zones(file_system: str, access_point: str, subnets: list[str]) -> None:
    """Check that there is a mount target in each zone of a function.

    docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem-efs.html. The message is like the one of Lambda that
    github.com/hashicorp/terraform-provider-aws/issues/15053 quotes.
    """
    if missing := zones_of(subnets) - mounted_zones(file_system):
        raise ValueError(
            f"InvalidParameterValueException: EFS file system {file_system} referenced by access point {access_point} "
            "does not have mount targets created in all availability zones the function will execute in: "
            f"{', '.join(sorted(missing))}"
        )


def _keep(name: str, properties: Json) -> None:
    configuration = lambda_svc._functions[name]["config"]
    for key in _KEPT:
        configuration.pop(key, None)
        if key in properties:
            configuration[key] = properties[key]


def _keep_in_cloudformation(runtime: Runtime) -> None:
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handler["create"], handler["update"]

    def create_with_files(logical_id: str, properties: Json, stack_name: str) -> Created:
        with_directories({"FunctionName": logical_id} | properties, runtime)
        created: Created = create(logical_id, properties, stack_name)
        _keep(created[0], properties)
        return created

    def update_with_files(physical_id: str, old: Json, new: Json, *context: str) -> Created:
        with_directories({"FunctionName": physical_id} | new, runtime)
        updated: Created = update(physical_id, old, new, *context)
        _keep(updated[0], new)
        lambda_svc.invalidate_worker(updated[0])
        return updated

    handler.update(create=create_with_files, update=update_with_files)


@cache
def register(runtime: Runtime) -> None:
    """Keep the configuration, and start functions' processes with it; a second call changes nothing."""
    _keep_in_cloudformation(runtime)
    acquire_worker = lambda_svc.acquire_worker

    def acquire(name: str, configuration: Json, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        return acquire_worker(name, with_directories(configuration, runtime), *arguments, **options)

    lambda_svc.acquire_worker = acquire
