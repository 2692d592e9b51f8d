"""The instances of a deployment: those that its settings would start, or those that a deployment starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from gaitway.cli.account.quotas import InstancePool
from gaitway.instances.types import INSTANCE_SIZES
from gaitway.settings import Settings
from gaitway.subnets import VpcSubnets, choose_subnets

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

Client = Any
"""Of EC2 and KMS, for which no stubs are installed."""


class InstanceGroup(NamedTuple):
    """Instance types of which a job may get any."""

    types: tuple[str, ...]
    zones: tuple[str, ...]
    is_multi_node: bool
    """Whether they are the nodes of one job, which are in one zone."""


@dataclass(frozen=True)
class Instances:
    """The instances of a deployment.

    Attributes:
        groups: Those of each compute environment.
        vpc_id: Their VPC; None for one that the deployment will create.
        use_spot: Whether some are Spot instances.
        use_efa: Whether some have Elastic Fabric Adapters.
    """

    groups: tuple[InstanceGroup, ...]
    vpc_id: str | None
    use_spot: bool
    use_efa: bool

    @property
    def node_zone(self) -> str:
        """The zone of the nodes of one job."""
        return next(group.zones[0] for group in self.groups if group.is_multi_node)


def planned_instances(settings: Settings, ec2: Client) -> Instances:
    """Find the subnets and zones of the instances that the settings describe.

    Args:
        settings: Settings of the deployment.
        ec2: A client of EC2.

    Raises:
        SettingsError: The existing VPC has no subnet for them.
    """
    zones, node_zone = _zones(settings, ec2)
    groups = tuple(
        InstanceGroup(settings.types_with(gpus), (node_zone,) if is_multi_node else zones, is_multi_node)
        for is_multi_node in (False, True)
        for gpus in settings.gpu_counts
    )
    return Instances(groups, settings.vpc_id, settings.use_spot, bool(settings.efa_gpu_counts))


def planned_pools(settings: Settings) -> Iterator[InstancePool]:
    """Yield what quotas have to allow for settings."""
    smallest = min(INSTANCE_SIZES[name].vcpus for name in settings.instance_types)
    yield InstancePool("on-demand", smallest, settings.max_vcpus)
    if settings.use_spot:
        yield InstancePool("Spot", smallest, settings.max_vcpus)


def deployed_instances(environments: Iterable[ComputeEnvironmentDetailTypeDef], ec2: Client) -> Instances:
    """Find the subnets and zones of a deployment's instances.

    Args:
        environments: As AWS Batch describes them.
        ec2: A client of EC2.
    """
    resources = [one["computeResources"] for one in environments]
    subnet_ids = sorted({subnet_id for one in resources for subnet_id in one["subnets"]})
    subnets = {subnet["SubnetId"]: subnet for subnet in ec2.describe_subnets(SubnetIds=subnet_ids)["Subnets"]}
    groups = tuple(
        InstanceGroup(
            tuple(one.get("instanceTypes", [])),
            tuple(sorted({subnets[subnet_id]["AvailabilityZone"] for subnet_id in one["subnets"]})),
            # Nodes of one job are in a cluster placement group.
            bool(one.get("placementGroup")),
        )
        for one in resources
    )
    # Where a launch template has a network interface, that has the groups.
    use_efa = any(one.get("placementGroup") and not one.get("securityGroupIds") for one in resources)
    use_spot = any(one["type"] == "SPOT" for one in resources)
    return Instances(groups, subnets[subnet_ids[0]]["VpcId"], use_spot, use_efa)


class _Subnet(NamedTuple):
    subnet_id: str
    availability_zone: str


def _zones(settings: Settings, ec2: Client) -> tuple[tuple[str, ...], str]:
    """Find the zones of single-node jobs, and the zone of the nodes of one job."""
    if settings.vpc_id is not None:
        used = choose_subnets(settings, _subnets_of(settings.vpc_id, ec2))
        return tuple(used.mount_targets), used.one_zone[0].availability_zone
    zones = settings.availability_zones or _first_two_zones(ec2)
    return zones, zones[0]


def _first_two_zones(ec2: Client) -> tuple[str, ...]:
    """Find the zones that Fn::GetAZs names first: those with a default subnet, or all where none has one.

    docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-getavailabilityzones.html
    """
    defaults = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    zones = {subnet["AvailabilityZone"] for subnet in defaults}
    if not zones:
        # Local Zones are not Availability Zones.
        kind = [{"Name": "zone-type", "Values": ["availability-zone"]}]
        zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones(Filters=kind)["AvailabilityZones"]}
    return tuple(sorted(zones)[:2])


def _subnets_of(vpc_id: str, ec2: Client) -> VpcSubnets[_Subnet]:
    """Classify the subnets of a VPC as the CDK's lookup does (`VpcNetworkContextProviderPlugin`)."""
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    tables = [table for page in _pages(ec2, "describe_route_tables", of_vpc) for table in page["RouteTables"]]
    groups: dict[tuple[str, str], list[_Subnet]] = {}
    for page in _pages(ec2, "describe_subnets", of_vpc):
        for subnet in page["Subnets"]:
            kind = _kind(subnet, tables)
            group = (kind, _tags(subnet).get("aws-cdk:subnet-name", kind))
            groups.setdefault(group, []).append(_Subnet(subnet["SubnetId"], subnet["AvailabilityZone"]))

    def of_kind(kind: str) -> list[_Subnet]:
        # Which of them is the first decides on the zone of the nodes of one job.
        by_zone = attrgetter("availability_zone")
        return [one for (its, _), group in groups.items() if its == kind for one in sorted(group, key=by_zone)]

    return VpcSubnets(of_kind("Private"), of_kind("Isolated"), of_kind("Public"))


def _pages(ec2: Client, operation: str, filters: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    pages: Iterable[dict[str, Any]] = ec2.get_paginator(operation).paginate(Filters=filters)
    return pages


def _tags(subnet: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])}


def _kind(subnet: dict[str, Any], tables: Sequence[dict[str, Any]]) -> str:
    if kind := _tags(subnet).get("aws-cdk:subnet-type"):
        return kind
    associations = [(table, one) for table in tables for one in table.get("Associations", [])]
    own = [table for table, one in associations if one.get("SubnetId") == subnet["SubnetId"]]
    main = [table for table, one in associations if one.get("Main")]
    routes = [route for table in (own or main)[:1] for route in table.get("Routes", [])]
    if subnet.get("MapPublicIpOnLaunch") or any(route.get("GatewayId", "").startswith("igw-") for route in routes):
        return "Public"
    ways_out = [route for route in routes if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
    if any("NatGatewayId" in route or "TransitGatewayId" in route for route in ways_out):
        return "Private"
    return "Isolated"
