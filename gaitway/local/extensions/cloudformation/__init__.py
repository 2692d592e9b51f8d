"""CloudFormation resource types that MiniStack lacks, added to its table of types."""

from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation import batch, cloudwatch, ec2


def register() -> None:
    """Add the resource types."""
    provisioners._RESOURCE_HANDLERS.update(batch.HANDLERS | cloudwatch.HANDLERS | ec2.HANDLERS)
    ec2.add_vpc_attributes()
