"""CloudFormation: the resource types that MiniStack lacks, and what CloudFormation refuses and MiniStack does not."""

from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation import (
    batch,
    cloudwatch,
    custom_resources,
    ec2,
    exports,
    logs,
    names,
    service_jobs,
)


def register() -> None:
    """Add the resource types and the refusals."""
    for part in (batch, cloudwatch, ec2, logs, service_jobs):
        provisioners._RESOURCE_HANDLERS.update(part.HANDLERS)
    ec2.add_vpc_attributes()
    custom_resources.register()
    exports.register()
    names.register()
