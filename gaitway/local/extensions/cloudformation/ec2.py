"""The network types that MiniStack's EC2 has calls for, but its CloudFormation no resource type."""

import contextlib

from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation.handlers import Created, Handler
from gaitway.local.services import Json, ServiceError, call_ec2, element


def _create_eip(logical_id: str, properties: Json, stack_name: str) -> Created:
    xml = call_ec2("AllocateAddress", {"Domain": properties.get("Domain")})
    address, allocation_id = element(xml, "publicIp"), element(xml, "allocationId")
    return address, {"PublicIp": address, "AllocationId": allocation_id}


def _delete_eip(address: str, properties: Json) -> None:
    # MiniStack describes every address, whatever is asked for.
    for item in call_ec2("DescribeAddresses", {}).split("<item>")[1:]:
        if element(item, "publicIp") == address:
            call_ec2("ReleaseAddress", {"AllocationId": element(item, "allocationId")})


def _create_nat_gateway(logical_id: str, properties: Json, stack_name: str) -> Created:
    names = ("SubnetId", "AllocationId", "ConnectivityType")
    gateway_id = element(call_ec2("CreateNatGateway", {name: properties.get(name) for name in names}), "natGatewayId")
    return gateway_id, {"NatGatewayId": gateway_id}


def _delete_nat_gateway(gateway_id: str, properties: Json) -> None:
    call_ec2("DeleteNatGateway", {"NatGatewayId": gateway_id})


def _create_flow_log(logical_id: str, properties: Json, stack_name: str) -> Created:
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    parameters = {name: properties.get(name) for name in names}
    xml = call_ec2("CreateFlowLogs", parameters | {"ResourceId.1": properties["ResourceId"]})
    flow_log_id = element(xml, "item")
    return flow_log_id, {"Id": flow_log_id}


def _delete_flow_log(flow_log_id: str, properties: Json) -> None:
    call_ec2("DeleteFlowLogs", {"FlowLogId.1": flow_log_id})


def _create_placement_group(logical_id: str, properties: Json, stack_name: str) -> Created:
    # CloudFormation always names the group itself: the type has no property for it.
    name = f"{stack_name}-{logical_id}"
    partition_count = properties.get("PartitionCount")
    parameters = {
        "GroupName": name,
        "Strategy": properties.get("Strategy"),
        "PartitionCount": str(partition_count) if partition_count else None,
    }
    call_ec2("CreatePlacementGroup", parameters)
    return name, {"GroupName": name}


def _delete_placement_group(name: str, properties: Json) -> None:
    call_ec2("DeletePlacementGroup", {"GroupName": name})


def _authorize(direction: str, peer: str, properties: Json) -> Created:
    rule = "IpPermissions.1"
    peer_group = properties.get(f"{peer}SecurityGroupId")
    prefix_list = properties.get(f"{peer}PrefixListId")
    parameters = {
        "GroupId": properties["GroupId"],
        f"{rule}.IpProtocol": str(properties["IpProtocol"]),
        f"{rule}.FromPort": _text(properties.get("FromPort")),
        f"{rule}.ToPort": _text(properties.get("ToPort")),
        f"{rule}.IpRanges.1.CidrIp": properties.get("CidrIp"),
        f"{rule}.Ipv6Ranges.1.CidrIpv6": properties.get("CidrIpv6"),
        f"{rule}.Groups.1.GroupId": peer_group,
        f"{rule}.PrefixListIds.1.PrefixListId": prefix_list,
    }
    rule_id = element(call_ec2(f"AuthorizeSecurityGroup{direction}", parameters), "securityGroupRuleId")
    return rule_id, {"Id": rule_id}


def _revoke(direction: str, rule_id: str, properties: Json) -> None:
    # A security group that was deleted first took its rules with it.
    with contextlib.suppress(ServiceError):
        parameters = {"GroupId": properties["GroupId"], "SecurityGroupRuleId.1": rule_id}
        call_ec2(f"RevokeSecurityGroup{direction}", parameters)


def _create_ingress(logical_id: str, properties: Json, stack_name: str) -> Created:
    return _authorize("Ingress", "Source", properties)


def _delete_ingress(rule_id: str, properties: Json) -> None:
    _revoke("Ingress", rule_id, properties)


def _create_egress(logical_id: str, properties: Json, stack_name: str) -> Created:
    return _authorize("Egress", "Destination", properties)


def _delete_egress(rule_id: str, properties: Json) -> None:
    _revoke("Egress", rule_id, properties)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def add_vpc_attributes() -> None:
    """Let GetAtt read the CIDR blocks of a VPC, which an interface endpoint's security group refers to."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::EC2::VPC"]
    create, update = handler["create"], handler["update"]

    def with_blocks(created: Created, properties: Json) -> Created:
        physical_id, attributes = created
        block = properties.get("CidrBlock", "")
        return physical_id, attributes | {"CidrBlock": block, "Ipv6CidrBlocks": []}

    def create_with_blocks(logical_id: str, properties: Json, stack_name: str) -> Created:
        return with_blocks(create(logical_id, properties, stack_name), properties)

    def update_with_blocks(physical_id: str, old: Json, new: Json, *context: str) -> Created:
        return with_blocks(update(physical_id, old, new, *context), new)

    handler.update(create=create_with_blocks, update=update_with_blocks)


HANDLERS: dict[str, Handler] = {
    "AWS::EC2::EIP": {"create": _create_eip, "delete": _delete_eip},
    "AWS::EC2::FlowLog": {"create": _create_flow_log, "delete": _delete_flow_log},
    "AWS::EC2::NatGateway": {"create": _create_nat_gateway, "delete": _delete_nat_gateway},
    "AWS::EC2::PlacementGroup": {"create": _create_placement_group, "delete": _delete_placement_group},
    "AWS::EC2::SecurityGroupEgress": {"create": _create_egress, "delete": _delete_egress},
    "AWS::EC2::SecurityGroupIngress": {"create": _create_ingress, "delete": _delete_ingress},
}
