"""What an existing VPC needs besides subnets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gaitway.cli.account.instances import Client, Instances
from gaitway.cli.findings import Finding

_DNS = {"EnableDnsSupport": "enableDnsSupport", "EnableDnsHostnames": "enableDnsHostnames"}
_ANYWHERE = "0.0.0.0/0"


def look_at_dns(ec2: Client, instances: Instances, options: str) -> Iterator[Finding]:
    """Check that DNS works in the VPC: jobs mount the file system by its name.

    docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-dns-name.html

    Args:
        ec2: A client of EC2.
        instances: The instances that are deployed, or will be.
        options: Options that direct an AWS CLI command to the account.
    """
    if instances.vpc_id is None:
        return
    off = [
        attribute
        for key, attribute in _DNS.items()
        if not ec2.describe_vpc_attribute(VpcId=instances.vpc_id, Attribute=attribute)[key]["Value"]
    ]
    for attribute in off:
        option = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in attribute)
        yield Finding(
            subject="DNS of the VPC",
            state="problem",
            detail=f"{attribute} of {instances.vpc_id} is off, and jobs mount the file system by its name: run "
            # One attribute can be changed at a time.
            f"`aws ec2 modify-vpc-attribute --vpc-id {instances.vpc_id} --{option}{options}`",
        )
    if not off:
        yield Finding(subject="DNS of the VPC", state="ok", detail=f"{' and '.join(_DNS.values())} are on")


def look_at_default_group(ec2: Client, instances: Instances, options: str) -> Iterator[Finding]:
    """Check that the nodes of one job reach each other, and AWS, if they have Elastic Fabric Adapters.

    AWS Batch gives their containers the VPC's default security group, since the compute environment names none:
    docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html

    Args:
        ec2: A client of EC2.
        instances: The instances that are deployed, or will be.
        options: Options that direct an AWS CLI command to the account.
    """
    if instances.vpc_id is None or not instances.use_efa:
        return
    filters = [{"Name": "vpc-id", "Values": [instances.vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
    [group] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    name = group["GroupId"]
    cures = []
    if not any(_is_all(rule) and _names(rule, name) for rule in group["IpPermissions"]):
        cures.append(f"aws ec2 authorize-security-group-ingress --group-id {name} --protocol all --source-group {name}")
    if not any(_is_all(rule) and _is_anywhere(rule) for rule in group["IpPermissionsEgress"]):
        anywhere = f"IpProtocol=-1,IpRanges=[{{CidrIp={_ANYWHERE}}}]"
        cures.append(f"aws ec2 authorize-security-group-egress --group-id {name} --ip-permissions '{anywhere}'")
    if cures:
        commands = " and ".join(f"`{cure}{options}`" for cure in cures)
        yield Finding(
            subject="default security group",
            state="problem",
            detail=f"{name} of {instances.vpc_id} does not let its members talk to each other and reach AWS, as "
            f"nodes of one job with Elastic Fabric Adapters must: run {commands}, or set useEfa to false",
        )
    else:
        yield Finding(subject="default security group", state="ok", detail=f"{name} lets its members talk")


def _is_all(rule: dict[str, Any]) -> bool:
    """Say whether a rule is about every protocol and port."""
    return bool(rule["IpProtocol"] == "-1")


def _names(rule: dict[str, Any], group_id: str) -> bool:
    return any(pair.get("GroupId") == group_id for pair in rule.get("UserIdGroupPairs", []))


def _is_anywhere(rule: dict[str, Any]) -> bool:
    return any(one.get("CidrIp") == _ANYWHERE for one in rule.get("IpRanges", []))
