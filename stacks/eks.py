"""GaitwayEks: the Kubernetes control plane of the HyperPod cluster that a deployment makes, unless there is one."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_eks as eks
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings, SettingsError
from stacks.components.findings import acknowledge
from stacks.components.logs import log_group
from stacks.components.network import Network

_VERSION = "1.34"
"""The newest of those that HyperPod supports:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-prerequisites.html"""
_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_ADD_ONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
"""What runs once on each node, so that it is complete without one. The others are in the stack with the nodes."""


def eks_cluster_arn(stack: cdk.Stack, settings: Settings) -> str:
    """Return the ARN of the EKS cluster that is given, or made, by its name."""
    return settings.eks_cluster_arn or stack.format_arn(
        service="eks", resource="cluster", resource_name=settings.names.eks_cluster
    )


class EksStack(cdk.Stack):
    """A control plane, which has no nodes of its own.

    It is a stack apart from that of the nodes, since HyperPod's Helm chart has to be installed in between:
    docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-install-packages-using-helm-chart.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        network: Network,
        *,
        env: cdk.Environment | None,
    ) -> None:
        """Make it.

        Raises:
            SettingsError: The subnets are in one zone, and EKS wants two.
        """
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack("Eks"),
            description="Gaitway: Kubernetes control plane",
        )
        name = settings.names.eks_cluster
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("eks.amazonaws.com"))
        policy = iam.ManagedPolicy.from_aws_managed_policy_name("AmazonEKSClusterPolicy")
        role.add_managed_policy(policy)
        acknowledge(
            role,
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonEKSClusterPolicy]",
            "EKS wants this policy of AWS: docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html",
        )
        # EKS would make it, and keep everything for ever:
        # docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
        logs = log_group(self, "Logs", f"/aws/eks/{name}/cluster")
        cluster = eks.CfnCluster(
            self,
            "Cluster",
            name=name,
            version=_VERSION,
            role_arn=role.role_arn,
            # One of the two modes that HyperPod supports: .../sagemaker-hyperpod-eks-prerequisites.html. Nobody is an
            # administrator until an access entry says so.
            access_config=eks.CfnCluster.AccessConfigProperty(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            resources_vpc_config=eks.CfnCluster.ResourcesVpcConfigProperty(
                subnet_ids=_subnet_ids(settings, network),
                # The nodes are in this group, too, and its members reach each other.
                security_group_ids=[network.nodes_security_group.security_group_id],
                endpoint_private_access=True,
                endpoint_public_access=True,
            ),
            logging=eks.CfnCluster.LoggingProperty(
                cluster_logging=eks.CfnCluster.ClusterLoggingProperty(
                    enabled_types=[eks.CfnCluster.LoggingTypeConfigProperty(type=type_) for type_ in _LOGS]
                )
            ),
        )
        cluster.node.add_dependency(logs)
        acknowledge(
            cluster,
            "EKS1",
            "Helm and kubectl run where somebody deploys, who signs in with IAM; nodes use the private endpoint.",
        )
        for add_on in _ADD_ONS:
            eks.CfnAddon(self, add_on, addon_name=add_on, cluster_name=cluster.ref, resolve_conflicts="OVERWRITE")
        cdk.CfnOutput(self, "EksClusterName", value=cluster.ref)


def _subnet_ids(settings: Settings, network: Network) -> list[str]:
    """Return the subnets for the interfaces of the control plane.

    docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """
    subnets = network.compute_subnets.subnets or []
    if len({subnet.availability_zone for subnet in subnets}) < 2:
        raise SettingsError(
            f"subnetIds is {', '.join(settings.subnet_ids)}, all in one zone, but hyperpodClusters holds hyperpod-eks, "
            "and EKS wants subnets in two zones at least: name one of another zone too, or an existing cluster with "
            "eksClusterArn."
        )
    return [subnet.subnet_id for subnet in subnets]
