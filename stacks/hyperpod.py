"""GaitwayHyperpodSlurm and GaitwayHyperpodEks: HyperPod clusters, where the setting `hyperpodClusters` has them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from gaitway.settings import CONTROLLER_TYPE, Cluster, Settings
from stacks.components.hyperpod_nodes import HyperpodNodes
from stacks.components.lifecycle_scripts import LifecycleScripts
from stacks.components.network import Network
from stacks.components.task_governance import TaskGovernance
from stacks.eks import eks_cluster_arn
from stacks.storage import StorageStack

_CONTROLLER, _WORKERS = "controller", "workers"
_PARTITION = "gaitway"
_ACCELERATED = ("ml.g", "ml.p")
"""How types with NVIDIA's GPUs begin; deep health checks are for those:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-resiliency-deep-health-checks.html"""
_DEEP_HEALTH_CHECKS = ["InstanceStress", "InstanceConnectivity"]
_VOLUME_GB = 200
"""For the image of some 20 GB, and temporary files; mounted at /opt/sagemaker."""


class HyperpodStack(cdk.Stack):
    """A HyperPod cluster, with what its nodes may do and what they are prepared with.

    docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-cluster.html

    It knows what the other stacks have made for it by names, as GaitwayPipeline does, so that they can be changed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        network: Network,
        storage: StorageStack,
        *,
        orchestrator: Cluster,
        env: cdk.Environment | None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack(construct_id.removeprefix("Gaitway")),
            description=f"Gaitway: the cluster of {orchestrator}",
        )
        self._settings = settings
        is_eks = orchestrator == "hyperpod-eks"
        scripts = LifecycleScripts(
            self,
            "LifecycleScripts",
            settings,
            folder="eks" if is_eks else "slurm",
            controller_group=None if is_eks else _CONTROLLER,
        )
        role = (
            iam.Role(self, "NodeRole", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
            if is_eks
            # The agent and the jobs have the role of their node there: stacks/components/cluster_agent.py.
            else iam.Role.from_role_name(self, "NodeRole", settings.names.agent_role(orchestrator, cdk.Aws.REGION))
        )
        subnets = network.one_zone_subnets.subnets or []
        groups = [network.compute_security_group, network.nodes_security_group]
        eks_arn = eks_cluster_arn(self, settings) if is_eks else None
        nodes = HyperpodNodes(
            self, "Nodes", role, scripts=scripts, subnets=subnets, security_groups=groups, eks_cluster_arn=eks_arn
        )
        cluster = sagemaker.CfnCluster(
            self,
            "Cluster",
            orchestrator=_orchestrator(eks_arn),
            instance_groups=self._groups(role.role_arn, scripts, is_eks=is_eks),
            node_recovery="Automatic",
            # The nodes of one job stand in one zone, as on Batch.
            vpc_config=sagemaker.CfnCluster.VpcConfigProperty(
                subnets=[subnet.subnet_id for subnet in subnets],
                security_group_ids=[
                    *(group.security_group_id for group in groups),
                    *([settings.eks_security_group_id] if settings.eks_security_group_id else []),
                ],
            ),
        )
        cluster.node.add_dependency(nodes, scripts)
        if is_eks:
            name = cdk.Fn.select(1, cdk.Fn.split("/", settings.eks_cluster_arn)) if settings.eks_cluster_arn else None
            TaskGovernance(
                self,
                "TaskGovernance",
                settings,
                cluster=cluster,
                eks_cluster=name or settings.names.eks_cluster,
                is_new=name is None,
                file_system=storage.file_system,
            )
        cdk.CfnOutput(self, f"{construct_id.removeprefix('Gaitway')}ClusterArn", value=cluster.attr_cluster_arn)

    def _groups(
        self, role_arn: str, scripts: LifecycleScripts, *, is_eks: bool
    ) -> list[sagemaker.CfnCluster.ClusterInstanceGroupProperty]:
        settings = self._settings
        type_ = settings.node_type("hyperpod-eks" if is_eks else "hyperpod-slurm")

        def group(
            name: str, type_: str, count: int, *, slurm: sagemaker.CfnCluster.ClusterSlurmConfigProperty | None
        ) -> sagemaker.CfnCluster.ClusterInstanceGroupProperty:
            is_worker = name == _WORKERS
            return sagemaker.CfnCluster.ClusterInstanceGroupProperty(
                instance_group_name=name,
                instance_type=type_,
                instance_count=count,
                execution_role=role_arn,
                life_cycle_config=sagemaker.CfnCluster.ClusterLifeCycleConfigProperty(
                    source_s3_uri=scripts.uri, on_init_complete=scripts.entry
                ),
                instance_storage_configs=[
                    sagemaker.CfnCluster.ClusterInstanceStorageConfigProperty(
                        ebs_volume_config=sagemaker.CfnCluster.ClusterEbsVolumeConfigProperty(
                            volume_size_in_gb=_VOLUME_GB
                        )
                    )
                ],
                on_start_deep_health_checks=_DEEP_HEALTH_CHECKS if type_.startswith(_ACCELERATED) else None,
                training_plan_arn=settings.training_plan_arn if is_worker else None,
                slurm_config=slurm,
            )

        slurm = sagemaker.CfnCluster.ClusterSlurmConfigProperty
        workers = group(
            _WORKERS,
            type_,
            settings.cluster_nodes,
            slurm=None if is_eks else slurm(node_type="Compute", partition_names=[_PARTITION]),
        )
        if is_eks:
            return [workers]
        return [group(_CONTROLLER, CONTROLLER_TYPE, 1, slurm=slurm(node_type="Controller")), workers]


def _orchestrator(eks_cluster_arn: str | None) -> sagemaker.CfnCluster.OrchestratorProperty:
    """Say who schedules: Slurm, which HyperPod configures itself as the instance groups say, or an EKS cluster.

    docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-ref.html ("API-driven Slurm configuration")
    """
    if eks_cluster_arn is not None:
        return sagemaker.CfnCluster.OrchestratorProperty(
            eks=sagemaker.CfnCluster.ClusterOrchestratorEksConfigProperty(cluster_arn=eks_cluster_arn)
        )
    return sagemaker.CfnCluster.OrchestratorProperty(
        slurm=sagemaker.CfnCluster.ClusterOrchestratorSlurmConfigProperty(slurm_config_strategy="Managed")
    )
