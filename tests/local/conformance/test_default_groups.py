"""The security group that every VPC has: docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.local.conformance.test_cloudformation_refusals import Stacks
from tests.local.emulator import Emulator


def by_call(emulator: Emulator, _: ExitStack) -> str:
    vpc: str = emulator.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    return vpc


def by_stack(emulator: Emulator, closing: ExitStack) -> str:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    resources = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.2.0.0/16"}}}
    Stacks(emulator, closing).create({"Resources": resources}, name)
    described = emulator.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
    vpc: str = described[0]["PhysicalResourceId"]
    return vpc


def of_the_account(emulator: Emulator, _: ExitStack) -> str:
    filters = [{"Name": "is-default", "Values": ["true"]}]
    vpc: str = emulator.client("ec2").describe_vpcs(Filters=filters)["Vpcs"][0]["VpcId"]
    return vpc


@pytest.mark.parametrize("make", [by_call, by_stack, of_the_account])
def test_its_members_talk_among_themselves_and_reach_everything(
    emulator: Emulator, make: Callable[[Emulator, ExitStack], str]
) -> None:
    with ExitStack() as closing:
        vpc_id = make(emulator, closing)
        filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
        [group] = emulator.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    [ingress], [egress] = group["IpPermissions"], group["IpPermissionsEgress"]
    [member] = ingress["UserIdGroupPairs"]
    assert (ingress["IpProtocol"], member["GroupId"], ingress["IpRanges"]) == ("-1", group["GroupId"], [])
    assert (egress["IpProtocol"], egress["IpRanges"][0]["CidrIp"]) == ("-1", "0.0.0.0/0")
