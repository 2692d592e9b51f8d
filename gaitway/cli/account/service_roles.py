"""The roles with which services of AWS act in an account: a new one has none of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gaitway.cli.account.instances import Instances
from gaitway.cli.findings import Finding

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

AUTO_SCALING = "autoscaling.amazonaws.com"
SPOT = "spot.amazonaws.com"

_NEEDED = {
    # docs.aws.amazon.com/batch/latest/userguide/using-service-linked-roles.html
    "batch.amazonaws.com": "AWSServiceRoleForBatch",
    # docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    # docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html
    AUTO_SCALING: "AWSServiceRoleForAutoScaling",
}
_NEEDED_FOR_SPOT = {
    # docs.aws.amazon.com/batch/latest/userguide/spot-fleet-roles-cli.html
    SPOT: "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
}
_PATH = "/aws-service-role/"


def look_at_service_roles(iam: IAMClient, instances: Instances, options: str) -> Iterator[Finding]:
    """Check for the roles that AWS Batch and its instances need.

    Args:
        iam: A client of IAM.
        instances: The instances that are deployed, or will be.
        options: Options that direct an AWS CLI command to the account.
    """
    needed = _NEEDED | (_NEEDED_FOR_SPOT if instances.use_spot else {})
    there = service_roles(iam)
    for service, role in needed.items():
        if service not in there:
            yield Finding(
                subject="service-linked roles",
                state="problem",
                detail=f"{role} does not exist, and AWS makes it by itself only for those who may call "
                "iam:CreateServiceLinkedRole: run `aws iam create-service-linked-role "
                f"--aws-service-name {service}{options}`",
            )
    if needed.keys() <= there.keys():
        yield Finding(subject="service-linked roles", state="ok", detail=", ".join(needed.values()))


def service_roles(iam: IAMClient) -> dict[str, str]:
    """List the service-linked roles of an account: ARNs, by service."""
    pages = iam.get_paginator("list_roles").paginate(PathPrefix=_PATH)
    return {role["Path"].removeprefix(_PATH).strip("/"): role["Arn"] for page in pages for role in page["Roles"]}
