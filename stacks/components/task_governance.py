"""What is on an EKS cluster beside its nodes: add-ons, the roles of pods, and HyperPod's task governance."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_eks as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from gaitway.settings import PRIORITY_SUFFIX, Settings
from stacks.components.file_system import RunFileSystem

NAMESPACE_PREFIX = "hyperpod-ns-"
"""Of the namespace that HyperPod makes for a team, as in `gaitway/contracts/eks.py`, which stacks do not know."""
_EFS_DRIVER = "aws-efs-csi-driver"
_EFS_ACCOUNT = "efs-csi-node-sa"
"""Of the driver's pods that mount: github.com/kubernetes-sigs/aws-efs-csi-driver/tree/master/docs"""
_GOVERNANCE = "amazon-sagemaker-hyperpod-taskgovernance"
"""docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-operate-console-ui-governance-setup.html"""
_HIGHEST = 100


class TaskGovernance(Construct):
    """The team of the setting `eksTeam`, with all nodes as its quota, and roles for its pods."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        cluster: sagemaker.CfnCluster,
        eks_cluster: str,
        is_new: bool,
        file_system: RunFileSystem,
    ) -> None:
        """Make it.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            cluster: The HyperPod cluster.
            eks_cluster: Name of its EKS cluster.
            is_new: Whether the deployment has made that; an existing one has add-ons already.
            file_system: What jobs live on.
        """
        super().__init__(scope, construct_id)
        assert settings.eks_team is not None
        names = settings.names
        add_ons = self._add_ons(eks_cluster, cluster, file_system) if is_new else []
        for account, role_name in (
            (names.agent_account, names.agent_role("hyperpod-eks", cdk.Aws.REGION)),
            (names.runner_account, names.jobs_role("hyperpod-eks", cdk.Aws.REGION)),
        ):
            eks.CfnPodIdentityAssociation(
                self,
                account,
                cluster_name=eks_cluster,
                namespace=f"{NAMESPACE_PREFIX}{settings.eks_team}",
                service_account=account,
                role_arn=cdk.Stack.of(self).format_arn(
                    service="iam", region="", resource="role", resource_name=role_name
                ),
            )
        classes = [settings.eks_priority_class.removesuffix(PRIORITY_SUFFIX)] if settings.eks_priority_class else []
        policy = sagemaker.CfnClusterSchedulerConfig(
            self,
            "Policy",
            name=names.of("policy"),
            cluster_arn=cluster.attr_cluster_arn,
            scheduler_config=sagemaker.CfnClusterSchedulerConfig.SchedulerConfigProperty(
                fair_share="Enabled",
                priority_classes=[
                    sagemaker.CfnClusterSchedulerConfig.PriorityClassProperty(name=name, weight=_HIGHEST)
                    for name in classes
                ],
            ),
        )
        # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-computequota.html, for
        # which this version of the CDK has no class.
        quota = cdk.CfnResource(
            self,
            "Quota",
            type="AWS::SageMaker::ComputeQuota",
            properties=_with_tags(
                settings,
                {
                    "Name": names.of("quota"),
                    "ClusterArn": cluster.attr_cluster_arn,
                    "ActivationState": "Enabled",
                    "ComputeQuotaTarget": {"TeamName": settings.eks_team, "FairShareWeight": _HIGHEST},
                    "ComputeQuotaConfig": {
                        "ComputeQuotaResources": [
                            {"InstanceType": settings.eks_instance_type, "Count": settings.cluster_nodes}
                        ],
                        "ResourceSharingConfig": {"Strategy": "Lend"},
                        "PreemptTeamTasks": "LowerPriority",
                    },
                },
            ),
        )
        cdk.Validations.of(quota).acknowledge(
            cdk.Acknowledgment(
                id="CloudFormation-Validate::F3006", reason="Newer than the types that this version of the CDK knows."
            )
        )
        # Both are objects of Kueue, which the add-on brings; one change at a time.
        policy.node.add_dependency(*add_ons)
        quota.node.add_dependency(policy)

    def _add_ons(
        self, eks_cluster: str, cluster: sagemaker.CfnCluster, file_system: RunFileSystem
    ) -> list[eks.CfnAddon]:
        """Install the add-ons that need a node to run on: EKS waits until they run."""
        driver = iam.Role(
            self,
            "FileSystemDriver",
            assumed_by=iam.SessionTagsPrincipal(iam.ServicePrincipal("pods.eks.amazonaws.com")),
        )
        file_system.grant_read_write(driver)
        mounts = eks.CfnAddon.PodIdentityAssociationProperty(service_account=_EFS_ACCOUNT, role_arn=driver.role_arn)
        made: list[eks.CfnAddon] = []
        for name in ("coredns", _EFS_DRIVER, _GOVERNANCE):
            add_on = eks.CfnAddon(
                self,
                name,
                addon_name=name,
                cluster_name=eks_cluster,
                resolve_conflicts="OVERWRITE",
                pod_identity_associations=[mounts] if name == _EFS_DRIVER else None,
            )
            add_on.node.add_dependency(cluster, *made[-1:])
            made.append(add_on)
        return made


def _with_tags(settings: Settings, properties: dict[str, Any]) -> dict[str, Any]:
    """Add the deployment's tags, which the CDK can add only where it knows the type."""
    if not settings.tags:
        return properties
    return properties | {"Tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()]}
