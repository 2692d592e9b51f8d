"""Which zones offer the instances that a deployment would start there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from gaitway.cli.account.instances import Client, InstanceGroup, Instances
from gaitway.cli.findings import Finding
from gaitway.instances.types import INSTANCE_SIZES

_SUBJECT = "zones"


def look_at_zones(ec2: Client, instances: Instances) -> Iterator[Finding]:
    """Compare the zones of instances with what EC2 offers there.

    Args:
        ec2: A client of EC2.
        instances: What is deployed, or will be.
    """
    types = sorted({name for group in instances.groups for name in group.types})
    if not types:
        return
    offered = _offerings(ec2, types)
    nowhere = [name for name in types if not any(name in names for names in offered.values())]
    if nowhere:
        yield Finding(
            subject=_SUBJECT,
            state="problem",
            detail=f"the region offers no {', '.join(nowhere)}, and AWS Batch may refuse compute environments with "
            "them: leave them out of instanceTypes",
        )
    findings = [
        _compare(group, offered, is_new_vpc=instances.vpc_id is None)
        for group in instances.groups
        if not set(group.types) <= set(nowhere)
    ]
    yield from (finding for finding in findings if finding.state != "ok")
    if not nowhere and all(finding.state == "ok" for finding in findings):
        zones = sorted({zone for group in instances.groups for zone in group.zones})
        yield Finding(subject=_SUBJECT, state="ok", detail=f"{', '.join(zones)} offer every one of instanceTypes")


def _offerings(ec2: Client, types: list[str]) -> Mapping[str, set[str]]:
    """Find the types that each zone of the region offers.

    docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
    """
    offered: defaultdict[str, set[str]] = defaultdict(set)
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": types}]
    )
    for page in pages:
        for offering in page["InstanceTypeOfferings"]:
            offered[offering["Location"]].add(offering["InstanceType"])
    return offered


def _compare(group: InstanceGroup, offered: Mapping[str, set[str]], *, is_new_vpc: bool) -> Finding:
    """Report what the zones of a group mean for its instances."""
    gpus = INSTANCE_SIZES[group.types[0]].gpus
    size = f"{gpus} GPU{'' if gpus == 1 else 's'}"
    whose = f"nodes of one job, with {size} each," if group.is_multi_node else f"instances with {size}"
    where = " and ".join(group.zones)
    missing = {zone: [name for name in group.types if name not in offered.get(zone, set())] for zone in group.zones}
    best = [zone for zone, names in sorted(offered.items()) if set(group.types) <= names]
    best_words = f"; {', '.join(best)} {'offers' if len(best) == 1 else 'offer'} all" if best else ""
    cure = (
        "choose other zones with availabilityZones before the first deployment"
        if is_new_vpc
        else "choose subnets of other zones with subnetIds"
    ) + (" (the first decides)" if group.is_multi_node else "")
    if all(len(names) == len(group.types) for names in missing.values()):
        return Finding(
            subject=_SUBJECT,
            state="problem",
            detail=f"{whose} are in {where}, where EC2 offers none of {', '.join(group.types)}: they never start; "
            f"{cure}{best_words}",
        )
    if lacking := {zone: names for zone, names in missing.items() if names}:
        words = "; ".join(f"{zone} has no {', '.join(names)}" for zone, names in lacking.items())
        return Finding(
            subject=_SUBJECT,
            state="note",
            detail=f"{whose} are in {where}, which do not offer every type ({words}): there are fewer alternatives "
            f"if a type is sold out; {cure}{best_words}",
        )
    return Finding(subject=_SUBJECT, state="ok", detail=where)
