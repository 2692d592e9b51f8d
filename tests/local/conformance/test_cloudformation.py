"""The resource types that we add to the embedded CloudFormation: created, changed and deleted as on AWS."""

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.emulator import Emulator

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"Ref": name}


def attribute(name: str, attribute: str) -> Json:
    return {"Fn::GetAtt": [name, attribute]}


TEMPLATE: Json = {
    "Resources": {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": ref("Vpc"), "CidrBlock": "10.7.1.0/24", "AvailabilityZone": "us-east-1a"},
        },
        "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
        "Nat": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {"SubnetId": ref("Subnet"), "AllocationId": attribute("Address", "AllocationId")},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "group",
                "VpcId": ref("Vpc"),
                "SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}],
            },
        },
        "Ingress": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {
                "GroupId": attribute("Group", "GroupId"),
                "IpProtocol": "tcp",
                "FromPort": 2049,
                "ToPort": 2049,
                "SourceSecurityGroupId": attribute("Group", "GroupId"),
            },
        },
        "Egress": {
            "Type": "AWS::EC2::SecurityGroupEgress",
            "Properties": {
                "GroupId": attribute("Group", "GroupId"),
                "IpProtocol": "udp",
                "FromPort": 53,
                "ToPort": 53,
                "CidrIp": attribute("Vpc", "CidrBlock"),
            },
        },
        "FlowLog": {
            "Type": "AWS::EC2::FlowLog",
            "Properties": {
                "ResourceId": ref("Vpc"),
                "ResourceType": "VPC",
                "TrafficType": "REJECT",
                "LogGroupName": "flow",
            },
        },
        "Placement": {"Type": "AWS::EC2::PlacementGroup", "Properties": {"Strategy": "cluster"}},
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "ComparisonOperator": "GreaterThanThreshold",
                "EvaluationPeriods": 1,
                "MetricName": "m",
                "Namespace": "n",
                "Period": 60,
                "Statistic": "Sum",
                "Threshold": 1,
            },
        },
        "Composite": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmRule": {"Fn::Sub": 'ALARM("${Alarm}")'}},
        },
        "SavedQuery": {
            "Type": "AWS::Logs::QueryDefinition",
            "Properties": {
                "Name": "folder/query",
                "QueryString": "filter level = '{{level}}'",
                "LogGroupNames": ["jobs"],
                "Parameters": [{"Name": "level", "Description": "how bad"}],
            },
        },
        "Environment": {
            "Type": "AWS::Batch::ComputeEnvironment",
            "Properties": {
                "Type": "managed",
                "State": "ENABLED",
                "ComputeResources": {
                    "Type": "EC2",
                    "MaxvCpus": 4,
                    "MinvCpus": 0,
                    "InstanceTypes": ["g6.2xlarge"],
                    "Subnets": [ref("Subnet")],
                    "Ec2Configuration": [{"ImageType": "ECS_AL2023_NVIDIA"}],
                    "Tags": {"Name": "worker"},
                },
            },
        },
        "Queue": {
            "Type": "AWS::Batch::JobQueue",
            "Properties": {
                "Priority": 1,
                "ComputeEnvironmentOrder": [{"Order": 1, "ComputeEnvironment": ref("Environment")}],
                "JobStateTimeLimitActions": [
                    {
                        "Action": "CANCEL",
                        "MaxTimeSeconds": 600,
                        "Reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                        "State": "RUNNABLE",
                    }
                ],
            },
        },
        "Definition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "Type": "container",
                "Parameters": {"Word": "hello"},
                "Timeout": {"AttemptDurationSeconds": 600},
                "RetryStrategy": {
                    "Attempts": 2,
                    "EvaluateOnExit": [{"Action": "RETRY", "OnStatusReason": "Host EC2*"}],
                },
                "ContainerProperties": {
                    "Image": "gaitway/shell:local",
                    "Command": ["echo", "Ref::Word"],
                    "Environment": [{"Name": "NAME", "Value": "value"}],
                    "ResourceRequirements": [{"Type": "VCPU", "Value": "2"}],
                    "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "jobs"}},
                },
            },
        },
        "MultiNodeDefinition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "Type": "multinode",
                "NodeProperties": {
                    "NumNodes": 2,
                    "MainNode": 0,
                    "NodeRangeProperties": [
                        {"TargetNodes": "0:", "Container": {"Image": "gaitway/shell:local", "Command": ["true"]}}
                    ],
                },
            },
        },
    },
    "Outputs": {
        "VpcId": {"Value": ref("Vpc")},
        "VpcBlock": {"Value": attribute("Vpc", "CidrBlock")},
        "Address": {"Value": ref("Address")},
        "AllocationId": {"Value": attribute("Address", "AllocationId")},
        "Nat": {"Value": attribute("Nat", "NatGatewayId")},
        "Group": {"Value": attribute("Group", "GroupId")},
        "Ingress": {"Value": ref("Ingress")},
        "FlowLog": {"Value": attribute("FlowLog", "Id")},
        "Placement": {"Value": ref("Placement")},
        "Composite": {"Value": ref("Composite")},
        "CompositeArn": {"Value": attribute("Composite", "Arn")},
        "SavedQuery": {"Value": ref("SavedQuery")},
        "Environment": {"Value": ref("Environment")},
        "EnvironmentArn": {"Value": attribute("Environment", "ComputeEnvironmentArn")},
        "Queue": {"Value": ref("Queue")},
        "QueueArn": {"Value": attribute("Queue", "JobQueueArn")},
        "Definition": {"Value": ref("Definition")},
        "MultiNodeDefinition": {"Value": ref("MultiNodeDefinition")},
    },
}


class Stack:
    """A stack of the template."""

    def __init__(self, emulator: Emulator) -> None:
        self._cloudformation = emulator.client("cloudformation")
        self.name = f"stack-{uuid.uuid4().hex[:8]}"
        self.template = copy.deepcopy(TEMPLATE)
        self._cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(self.template))
        self._wait("stack_create_complete")

    def properties(self, logical_id: str) -> Json:
        """Properties of a resource, to be changed before `update`."""
        properties: Json = self.template["Resources"][logical_id]["Properties"]
        return properties

    def update(self) -> None:
        self._cloudformation.update_stack(StackName=self.name, TemplateBody=json.dumps(self.template))
        self._wait("stack_update_complete")

    def delete(self) -> None:
        self._cloudformation.delete_stack(StackName=self.name)
        self._wait("stack_delete_complete")

    def outputs(self) -> dict[str, str]:
        [stack] = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _wait(self, state: str) -> None:
        waiter = self._cloudformation.get_waiter(state)
        waiter.wait(StackName=self.name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})


@pytest.fixture
def stack(emulator: Emulator) -> Iterator[Stack]:
    created = Stack(emulator)
    yield created
    created.delete()


def test_the_network_types_make_what_ec2_describes(emulator: Emulator, stack: Stack) -> None:
    ec2, outputs = emulator.client("ec2"), stack.outputs()

    assert outputs["VpcBlock"] == "10.7.0.0/16"
    [address] = ec2.describe_addresses(AllocationIds=[outputs["AllocationId"]])["Addresses"]
    assert address["PublicIp"] == outputs["Address"]
    [gateway] = ec2.describe_nat_gateways(NatGatewayIds=[outputs["Nat"]])["NatGateways"]
    assert (gateway["State"], gateway["VpcId"]) == ("available", outputs["VpcId"])
    [flow_log] = ec2.describe_flow_logs(FlowLogIds=[outputs["FlowLog"]])["FlowLogs"]
    assert (flow_log["ResourceId"], flow_log["TrafficType"]) == (outputs["VpcId"], "REJECT")
    [placement] = ec2.describe_placement_groups(GroupNames=[outputs["Placement"]])["PlacementGroups"]
    assert placement["Strategy"] == "cluster"


def test_rules_join_those_of_their_security_group(emulator: Emulator, stack: Stack) -> None:
    group_id = stack.outputs()["Group"]
    [group] = emulator.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]

    [ingress] = group["IpPermissions"]
    assert (ingress["FromPort"], ingress["ToPort"]) == (2049, 2049)
    assert [pair["GroupId"] for pair in ingress["UserIdGroupPairs"]] == [group_id]
    assert {rule["FromPort"]: rule["IpRanges"][0]["CidrIp"] for rule in group["IpPermissionsEgress"]} == {
        443: "0.0.0.0/0",
        53: "10.7.0.0/16",
    }


def test_a_changed_rule_replaces_the_old_one(emulator: Emulator, stack: Stack) -> None:
    stack.properties("Ingress").update(FromPort=988, ToPort=988)
    stack.update()
    groups = emulator.client("ec2").describe_security_groups(GroupIds=[stack.outputs()["Group"]])["SecurityGroups"]
    assert [rule["FromPort"] for rule in groups[0]["IpPermissions"]] == [988]


def test_a_composite_alarm_watches_its_children(emulator: Emulator, stack: Stack) -> None:
    outputs = stack.outputs()
    response = emulator.client("cloudwatch").describe_alarms(
        AlarmNames=[outputs["Composite"]], AlarmTypes=["CompositeAlarm"]
    )
    [alarm] = response["CompositeAlarms"]
    assert alarm["AlarmRule"].startswith('ALARM("')
    assert alarm["AlarmArn"] == outputs["CompositeArn"]


def test_a_saved_query_stays_the_same_resource_when_its_text_changes(emulator: Emulator, stack: Stack) -> None:
    logs, definition_id = emulator.client("logs"), stack.outputs()["SavedQuery"]

    def found() -> Json:
        definitions = logs.describe_query_definitions(queryDefinitionNamePrefix="folder/")["queryDefinitions"]
        [definition] = [one for one in definitions if one["queryDefinitionId"] == definition_id]
        return dict(definition)

    assert (found()["name"], found()["logGroupNames"]) == ("folder/query", ["jobs"])
    stack.properties("SavedQuery")["QueryString"] = "fields @message"
    stack.update()
    assert stack.outputs()["SavedQuery"] == definition_id
    assert found()["queryString"] == "fields @message"


def test_queries_are_saved_changed_and_forgotten(emulator: Emulator) -> None:
    logs = emulator.client("logs")
    definition_id = logs.put_query_definition(name="mine", queryString="fields @message")["queryDefinitionId"]
    logs.put_query_definition(name="mine", queryString="limit 1", queryDefinitionId=definition_id)
    [found] = logs.describe_query_definitions(queryDefinitionNamePrefix="mine")["queryDefinitions"]
    assert (found["queryDefinitionId"], found["queryString"]) == (definition_id, "limit 1")
    assert logs.delete_query_definition(queryDefinitionId=definition_id)["success"]
    assert logs.describe_query_definitions(queryDefinitionNamePrefix="mine")["queryDefinitions"] == []
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.put_query_definition(name="mine", queryString="limit 1", queryDefinitionId=definition_id)


def test_a_multi_node_definition_holds_its_nodes(emulator: Emulator, stack: Stack) -> None:
    arns = [stack.outputs()["MultiNodeDefinition"]]
    [definition] = emulator.client("batch").describe_job_definitions(jobDefinitions=arns)["jobDefinitions"]
    assert definition["type"] == "multinode"
    assert definition["nodeProperties"] == {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {"targetNodes": "0:", "container": {"image": "gaitway/shell:local", "command": ["true"]}}
        ],
    }


def test_batch_resources_are_known_by_their_arns(emulator: Emulator, stack: Stack) -> None:
    batch, outputs = emulator.client("batch"), stack.outputs()
    assert outputs["Environment"] == outputs["EnvironmentArn"]
    assert outputs["Queue"] == outputs["QueueArn"]

    [environment] = batch.describe_compute_environments(computeEnvironments=[outputs["Environment"]])[
        "computeEnvironments"
    ]
    assert environment["computeResources"]["maxvCpus"] == 4
    assert environment["computeResources"]["tags"] == {"Name": "worker"}
    [queue] = batch.describe_job_queues(jobQueues=[outputs["Queue"]])["jobQueues"]
    assert queue["computeEnvironmentOrder"] == [{"order": 1, "computeEnvironment": outputs["Environment"]}]
    assert queue["jobStateTimeLimitActions"][0]["maxTimeSeconds"] == 600
    [definition] = batch.describe_job_definitions(jobDefinitions=[outputs["Definition"]])["jobDefinitions"]
    assert definition["parameters"] == {"Word": "hello"}
    assert definition["retryStrategy"]["evaluateOnExit"] == [{"action": "RETRY", "onStatusReason": "Host EC2*"}]
    assert definition["containerProperties"]["logConfiguration"]["options"] == {"awslogs-group": "jobs"}


def test_a_changed_environment_and_queue_stay_the_same_resources(emulator: Emulator, stack: Stack) -> None:
    before = stack.outputs()
    stack.properties("Environment")["ComputeResources"]["MaxvCpus"] = 16
    stack.properties("Queue")["Priority"] = 9
    stack.update()

    assert stack.outputs() == before
    batch = emulator.client("batch")
    [environment] = batch.describe_compute_environments(computeEnvironments=[before["Environment"]])[
        "computeEnvironments"
    ]
    assert environment["computeResources"]["maxvCpus"] == 16
    assert environment["computeResources"]["instanceTypes"] == ["g6.2xlarge"]
    [queue] = batch.describe_job_queues(jobQueues=[before["Queue"]])["jobQueues"]
    assert queue["priority"] == 9


def test_a_changed_job_definition_is_the_next_revision(emulator: Emulator, stack: Stack) -> None:
    before = stack.outputs()["Definition"]
    stack.properties("Definition")["Parameters"] = {"Word": "goodbye"}
    stack.update()

    after = stack.outputs()["Definition"]
    assert before.endswith(":1")
    assert after == f"{before.removesuffix(':1')}:2"
    definitions = emulator.client("batch").describe_job_definitions(jobDefinitions=[before, after])["jobDefinitions"]
    assert [definition["status"] for definition in definitions] == ["INACTIVE", "ACTIVE"]


def test_a_deleted_stack_takes_its_own_resources_with_it(emulator: Emulator) -> None:
    other, stack = Stack(emulator), Stack(emulator)
    outputs = stack.outputs()
    stack.delete()

    batch, ec2 = emulator.client("batch"), emulator.client("ec2")
    assert not batch.describe_job_queues(jobQueues=[outputs["Queue"]])["jobQueues"]
    assert not batch.describe_compute_environments(computeEnvironments=[outputs["Environment"]])["computeEnvironments"]
    [definition] = batch.describe_job_definitions(jobDefinitions=[outputs["Definition"]])["jobDefinitions"]
    assert definition["status"] == "INACTIVE"
    addresses = {address["PublicIp"] for address in ec2.describe_addresses()["Addresses"]}
    assert outputs["Address"] not in addresses
    assert other.outputs()["Address"] in addresses
    [gateway] = ec2.describe_nat_gateways(NatGatewayIds=[outputs["Nat"]])["NatGateways"]
    assert gateway["State"] == "deleted"
    assert not ec2.describe_flow_logs(FlowLogIds=[outputs["FlowLog"]])["FlowLogs"]
    assert not emulator.client("cloudwatch").describe_alarms(
        AlarmNames=[outputs["Composite"]], AlarmTypes=["CompositeAlarm"]
    )["CompositeAlarms"]
