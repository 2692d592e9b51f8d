"""Which subnets of a VPC are used for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from gaitway.settings import Settings, SettingsError

_WHAT_IS_PRIVATE = (
    "A subnet is private if its route table sends 0.0.0.0/0 to a NAT gateway or a transit gateway, or if its tag "
    "aws-cdk:subnet-type has the value Private"
)
"""As the CDK's command line tells them apart (`VpcNetworkContextProviderPlugin`)."""
_LOOK_AGAIN = "After a change to the VPC run `npx cdk context --clear`, since cdk.context.json keeps what was looked up"


class Subnet(Protocol):
    """What has to be known of a subnet; the CDK's own are such."""

    @property
    def subnet_id(self) -> str:
        """Its id."""

    @property
    def availability_zone(self) -> str:
        """The zone it is in."""


S = TypeVar("S", bound=Subnet)


class VpcSubnets(NamedTuple, Generic[S]):
    """The subnets that a VPC has."""

    private: Sequence[S]
    """With a way out, and none in."""
    isolated: Sequence[S]
    """Without a way out."""
    public: Sequence[S]


class UsedSubnets(NamedTuple, Generic[S]):
    """The subnets that a deployment uses."""

    compute: tuple[S, ...]
    """Of jobs, and of functions that mount the file system."""
    one_zone: tuple[S, ...]
    """Those of them in which the nodes of one job stand: a cluster placement group has one zone."""
    mount_targets: dict[str, S]
    """One for each zone of the compute subnets, by zone.

    EFS takes one in a zone, and who mounts the file system needs one in its own zone:
    docs.aws.amazon.com/efs/latest/ug/manage-fs-access-create-delete-mount-targets.html,
    docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html
    """


def choose_subnets(settings: Settings, vpc: VpcSubnets[S]) -> UsedSubnets[S]:
    """Say what the subnets of a VPC are used for.

    Args:
        settings: Settings of the deployment.
        vpc: What there is.

    Raises:
        SettingsError: The VPC has no subnet for jobs, or `subnetIds` names one that is of no use.
    """
    if not vpc.private:
        has = ", ".join(
            _counted(subnets, kind) for kind, subnets in (("public", vpc.public), ("isolated", vpc.isolated))
        )
        raise SettingsError(
            f"vpcId is {settings.vpc_id!r}, which has {has} and no private subnet, but jobs need private subnets that "
            "reach the internet: add some with a route to a NAT gateway, choose another VPC, or leave vpcId out to get "
            f"a new one. {_WHAT_IS_PRIVATE}. {_LOOK_AGAIN}."
        )
    compute = tuple(_named(settings, vpc)) if settings.subnet_ids else tuple(vpc.private)
    mount_targets: dict[str, S] = {}
    for subnet in compute:
        zone = subnet.availability_zone
        isolated = (other for other in vpc.isolated if other.availability_zone == zone)
        mount_targets.setdefault(zone, next(isolated, subnet))
    one_zone = tuple(subnet for subnet in compute if subnet.availability_zone == compute[0].availability_zone)
    return UsedSubnets(compute, one_zone, mount_targets)


def _named(settings: Settings, vpc: VpcSubnets[S]) -> list[S]:
    """Find the subnets that the settings name."""
    by_id = {subnet.subnet_id: subnet for subnet in vpc.private}
    for subnet_id in settings.subnet_ids:
        if subnet_id in by_id:
            continue
        is_of_no_use = f"is not in {settings.vpc_id}"
        if subnet_id in (subnet.subnet_id for subnet in vpc.public):
            is_of_no_use = "is a public subnet"
        if subnet_id in (subnet.subnet_id for subnet in vpc.isolated):
            is_of_no_use = "is an isolated subnet"
        raise SettingsError(
            f"subnetIds holds {subnet_id!r}, which {is_of_no_use}, but jobs need private subnets that reach the "
            f"internet: {settings.vpc_id} has {', '.join(by_id)}. {_WHAT_IS_PRIVATE}. {_LOOK_AGAIN}."
        )
    return [by_id[subnet_id] for subnet_id in settings.subnet_ids]


def _counted(subnets: Sequence[S], kind: str) -> str:
    return f"{len(subnets) or 'no'} {kind} subnet{'' if len(subnets) == 1 else 's'}"
