"""The function that saves what a failed run left: how it reaches the file system, and what it may not do there."""

from __future__ import annotations

from typing import Any

from gaitway.contracts.limits import ENDING_RUNNER_SECONDS, SALVAGE_SECONDS
from tests.infra.templates import Resource, Synthesis

FUNCTION = "HandleFailure/Function"


def group(aws: Synthesis, name: str) -> str:
    return f"<{aws.resource('AWS::EC2::SecurityGroup', name).name}.GroupId>"


def statements(aws: Synthesis) -> list[dict[str, Any]]:
    policy = aws.resource("AWS::IAM::Policy", "HandleFailure/Role")
    found: list[dict[str, Any]] = policy.properties["PolicyDocument"]["Statement"]
    return found


def function(aws: Synthesis) -> Resource:
    return aws.resource("AWS::Lambda::Function", FUNCTION)


def test_it_enters_the_file_system_through_the_jobs_own_door(aws: Synthesis) -> None:
    (mount,) = function(aws).properties["FileSystemConfigs"]
    (access_point,) = aws.resources("AWS::EFS::AccessPoint")
    assert aws.text("GaitwayPipeline", mount["Arn"]).endswith(f":access-point/<{access_point.name}>")
    assert mount["LocalMountPath"] == function(aws).properties["Environment"]["Variables"]["GAITWAY_EFS_ROOT"]


def test_it_stands_where_the_jobs_do_and_nobody_else_of_the_functions(aws: Synthesis) -> None:
    attached = [each.name for each in aws.resources("AWS::Lambda::Function") if "VpcConfig" in each.properties]
    assert attached == [FUNCTION]
    configuration = function(aws).properties["VpcConfig"]
    (security_group,) = configuration["SecurityGroupIds"]
    assert aws.text("GaitwayPipeline", security_group) == group(aws, "FunctionSecurityGroup")
    subnets = [aws.text("GaitwayPipeline", subnet) for subnet in configuration["SubnetIds"]]
    assert len(subnets) == 2
    assert all("Compute" in subnet for subnet in subnets)


def test_it_calls_aws_and_the_file_system_and_nothing_calls_it(aws: Synthesis) -> None:
    own = group(aws, "FunctionSecurityGroup")
    (to_aws,) = aws.resource("AWS::EC2::SecurityGroup", "FunctionSecurityGroup").properties["SecurityGroupEgress"]
    assert (to_aws["FromPort"], to_aws["ToPort"], to_aws["IpProtocol"]) == (443, 443, "tcp")
    rules = [
        (rule.properties["FromPort"], aws.text(rule.stack, rule.properties["DestinationSecurityGroupId"]))
        for rule in aws.resources("AWS::EC2::SecurityGroupEgress")
        if aws.text(rule.stack, rule.properties["GroupId"]) == own
    ]
    assert rules == [(2049, group(aws, "FileSystemSecurityGroup"))]
    assert own not in [
        aws.text(rule.stack, rule.properties["GroupId"]) for rule in aws.resources("AWS::EC2::SecurityGroupIngress")
    ]


def test_it_may_not_write_to_the_file_system_nor_enter_it_otherwise(aws: Synthesis) -> None:
    (mount,) = [each for each in statements(aws) if "elasticfilesystem" in str(each["Action"])]
    assert mount["Action"] == "elasticfilesystem:ClientMount"
    assert "elasticfilesystem:AccessPointArn" in mount["Condition"]["StringEquals"]


def test_its_code_may_not_use_what_attaches_it_to_the_network(aws: Synthesis) -> None:
    allowed, denied = [each for each in statements(aws) if "ec2:CreateNetworkInterface" in each["Action"]]
    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert {action for action in allowed["Action"] if action.startswith("ec2:")} == set(denied["Action"])
    source = aws.text("GaitwayPipeline", denied["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"])
    assert source.endswith(f":function:{function(aws).properties['FunctionName']}")


def test_it_has_time_left_once_the_caller_is_told_which_is_within_a_minute(aws: Synthesis) -> None:
    assert ENDING_RUNNER_SECONDS < SALVAGE_SECONDS <= 40
    assert function(aws).properties["Timeout"] >= 4 * SALVAGE_SECONDS
