"""CloudFormation resource types that MiniStack lacks, added to its table of types."""

from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation import batch, cloudwatch, ec2, logs


def register() -> None:
    """Add the resource types."""
    for part in (batch, cloudwatch, ec2, logs):
        provisioners._RESOURCE_HANDLERS.update(part.HANDLERS)
    ec2.add_vpc_attributes()
