"""What the nodes of a HyperPod cluster may do, whatever runs on them."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.components.findings import acknowledge, acknowledge_wildcard
from stacks.components.lifecycle_scripts import LifecycleScripts

_LOGS = "/aws/sagemaker/Clusters/*"


class HyperpodNodes(Construct):
    """The policy of the nodes' role.

    It is what AWS's policy AmazonSageMakerClusterInstanceRolePolicy and the page about roles list, for this cluster's
    bucket, subnets and security groups alone:
    docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSageMakerClusterInstanceRolePolicy.html,
    docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites-iam.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        role: iam.IRole,
        *,
        scripts: LifecycleScripts,
        subnets: Sequence[ec2.ISubnet],
        security_groups: Sequence[ec2.ISecurityGroup],
        eks_cluster_arn: str | None,
    ) -> None:
        """Make it.

        Args:
            scope: Parent.
            construct_id: Id.
            role: The role.
            scripts: What is run on a new node.
            subnets: Where the nodes are.
            security_groups: Of the nodes.
            eks_cluster_arn: The EKS cluster that they join; None with Slurm.
        """
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        policy = iam.Policy(self, "Policy", roles=[role])
        scripts.grant_read(policy)

        def allow(*actions: str, on: Sequence[str], only: dict[str, dict[str, str]] | None = None) -> None:
            policy.add_statements(iam.PolicyStatement(actions=[*actions], resources=[*on], conditions=only))

        def ec2_arn(kind: str, name: str) -> str:
            return stack.format_arn(service="ec2", resource=kind, resource_name=name)

        logs = stack.format_arn(
            service="logs", resource="log-group", resource_name=_LOGS, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )
        allow("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents", on=[logs])
        acknowledge_wildcard(policy, logs, "HyperPod names the group after the cluster's id, and streams after nodes.")
        allow(
            "cloudwatch:PutMetricData",
            on=["*"],
            only={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Clusters"}},
        )
        # Through AWS Systems Manager people with `ssm:StartSession` reach a node.
        channels = [f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")]
        allow(*channels, on=["*"])
        interfaces = ec2_arn("network-interface", "*")
        # HyperPod and, for pods, the VPC's plug-in attach interfaces to the nodes, which are in an account of AWS's.
        of_nodes = ["Create", "Delete"] if eks_cluster_arn is None else ["Attach", "Create", "Delete"]
        changes = [f"ec2:{verb}NetworkInterface" for verb in of_nodes]
        changes += [f"ec2:{verb}NetworkInterfacePermission" for verb in ("Create", "Delete")]
        if eks_cluster_arn is not None:
            changes += ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
            changes += ["ec2:ModifyNetworkInterfaceAttribute"]
        allow(
            *changes,
            on=[
                interfaces,
                *(ec2_arn("subnet", subnet.subnet_id) for subnet in subnets),
                *(ec2_arn("security-group", group.security_group_id) for group in security_groups),
            ],
        )
        allow("ec2:CreateTags", on=[interfaces])
        acknowledge_wildcard(policy, interfaces, "An interface has no id before it is made.")
        seen = ["NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups"]
        if eks_cluster_arn is not None:
            seen += ["Instances", "InstanceTypes", "Tags"]
        allow(*(f"ec2:Describe{what}" for what in seen), "ec2:DetachNetworkInterface", on=["*"])
        acknowledge(policy, "IAM5[Resource::*]", "These actions take no narrower resource.")
        if eks_cluster_arn is not None:
            self._join(policy, eks_cluster_arn)

    def _join(self, policy: iam.Policy, eks_cluster_arn: str) -> None:
        """Let the kubelet pull images, and pods get their roles."""
        repositories = cdk.Stack.of(self).format_arn(
            service="ecr", account="*", resource="repository", resource_name="*"
        )
        policy.add_statements(
            iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]),
            iam.PolicyStatement(
                actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                resources=[repositories],
            ),
            iam.PolicyStatement(actions=["eks-auth:AssumeRoleForPodIdentity"], resources=[eks_cluster_arn]),
        )
        acknowledge_wildcard(policy, repositories, "EKS and HyperPod keep images of their own in accounts of AWS's.")
