"""The default security group of a VPC lets its members talk to each other; MiniStack's has no such rule.

docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

_Create = Callable[..., Any]


def _open_among_members(group: dict[str, Any]) -> None:
    pair = {"GroupId": group["GroupId"], "UserId": group["OwnerId"]}
    group["IpPermissions"] = [
        {"IpProtocol": "-1", "UserIdGroupPairs": [pair], "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": []}
    ]


def _with_rule(create: _Create) -> _Create:
    @wraps(create)
    def create_with_rule(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        before = set(ec2._security_groups)
        created = create(*arguments, **named)
        for group_id in set(ec2._security_groups) - before:
            if ec2._security_groups[group_id]["GroupName"] == "default":
                _open_among_members(ec2._security_groups[group_id])
        return created

    return create_with_rule


@cache
def register() -> None:
    """Add the rule to new groups, and to that of the default VPC; a second call changes nothing."""
    for action in ("CreateVpc", "CreateDefaultVpc"):
        ec2._ACTION_MAP[action] = _with_rule(ec2._ACTION_MAP[action])
    handler = provisioners._RESOURCE_HANDLERS["AWS::EC2::VPC"]
    handler["create"] = _with_rule(handler["create"])
    ec2._init_defaults = _with_rule(ec2._init_defaults)
    if not (group := ec2._security_groups[ec2._DEFAULT_SG_ID])["IpPermissions"]:
        _open_among_members(group)
