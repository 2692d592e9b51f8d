"""Which subnets are used for what, over many shapes of a VPC."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from gaitway.settings import Settings, SettingsError
from gaitway.subnets import VpcSubnets, choose_subnets

VPC = "vpc-0123456789abcdef0"


class Subnet(NamedTuple):
    """A subnet, as the CDK knows one."""

    subnet_id: str
    availability_zone: str


def subnets(prefix: str, zones: str) -> list[Subnet]:
    return [Subnet(f"subnet-{prefix}{number:02x}", f"eu-west-1{zone}") for number, zone in enumerate(zones)]


def shapes() -> Iterator[VpcSubnets[Subnet]]:
    """Every VPC with one to four private subnets and up to three isolated ones, in up to three zones."""
    for private, isolated in itertools.product(range(1, 5), range(4)):
        for zones in itertools.product("abc", repeat=private + isolated):
            text = "".join(zones)
            yield VpcSubnets(subnets("b", text[:private]), subnets("c", text[private:]), subnets("a", "ab"))


def test_each_zone_of_the_compute_subnets_has_one_mount_target_and_no_other_zone_has_one() -> None:
    settings = Settings(vpcId=VPC)
    for vpc in shapes():
        used = choose_subnets(settings, vpc)
        assert used.compute == tuple(vpc.private)
        zones = Counter(subnet.availability_zone for subnet in used.mount_targets.values())
        assert set(zones.values()) == {1}
        assert set(zones) == {subnet.availability_zone for subnet in used.compute}
        assert all(subnet.availability_zone == zone for zone, subnet in used.mount_targets.items())


def test_a_mount_target_stands_in_an_isolated_subnet_where_its_zone_has_one() -> None:
    for vpc in shapes():
        isolated = {subnet.availability_zone for subnet in vpc.isolated}
        for zone, subnet in choose_subnets(Settings(vpcId=VPC), vpc).mount_targets.items():
            assert subnet in (vpc.isolated if zone in isolated else vpc.private)


def test_the_nodes_of_one_job_stand_in_the_zone_of_the_first_subnet() -> None:
    for vpc in shapes():
        one_zone = choose_subnets(Settings(vpcId=VPC), vpc).one_zone
        assert one_zone[0] == vpc.private[0]
        assert {subnet.availability_zone for subnet in one_zone} == {vpc.private[0].availability_zone}


def test_named_subnets_are_used_alone_and_in_their_order() -> None:
    vpc = VpcSubnets(subnets("b", "abca"), subnets("c", "b"), ())
    chosen = (vpc.private[2], vpc.private[1])
    used = choose_subnets(Settings(vpcId=VPC, subnetIds=tuple(subnet.subnet_id for subnet in chosen)), vpc)
    assert used.compute == chosen
    assert used.one_zone == chosen[:1]
    assert used.mount_targets == {"eu-west-1c": vpc.private[2], "eu-west-1b": vpc.isolated[0]}


@pytest.mark.parametrize(
    ("public", "isolated", "words"),
    [
        ("ab", "", "has 2 public subnets, no isolated subnets and no private subnet"),
        ("", "a", "has no public subnets, 1 isolated subnet and no private subnet"),
        ("a", "abc", "has 1 public subnet, 3 isolated subnets and no private subnet"),
        ("", "", "has no public subnets, no isolated subnets and no private subnet"),
    ],
)
def test_a_vpc_without_private_subnets_is_refused_with_what_it_has(public: str, isolated: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        choose_subnets(Settings(vpcId=VPC), VpcSubnets((), subnets("c", isolated), subnets("a", public)))
    assert f"vpcId is '{VPC}', which {words}" in str(error.value)
    assert "NAT gateway" in str(error.value)
    assert "npx cdk context --clear" in str(error.value)


@pytest.mark.parametrize(
    ("subnet_id", "words"),
    [
        ("subnet-a00", "is a public subnet"),
        ("subnet-c00", "is an isolated subnet"),
        ("subnet-0f", f"is not in {VPC}"),
    ],
)
def test_a_named_subnet_that_is_of_no_use_is_refused_with_those_that_are(subnet_id: str, words: str) -> None:
    vpc = VpcSubnets(subnets("b", "ab"), subnets("c", "a"), subnets("a", "a"))
    with pytest.raises(SettingsError) as error:
        choose_subnets(Settings(vpcId=VPC, subnetIds=("subnet-b00", subnet_id)), vpc)
    assert f"subnetIds holds '{subnet_id}', which {words}" in str(error.value)
    assert "subnet-b00, subnet-b01" in str(error.value)
