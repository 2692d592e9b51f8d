"""Where jobs wait and run: a Batch queue on instances with GPUs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.gpu_instances import GpuInstances
from stacks.components.network import Network

_WARM_VCPUS = 8
"""One 2xlarge."""


class GpuQueue(Construct):
    """A queue, and behind it a managed compute environment for each number of GPUs that an instance may have.

    Within one environment Batch prefers the type whose vCPUs cost least, which is often the largest
    (docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html): a job for one GPU would be given four. Spot
    instances, where they are used, have environments of their own, before those with as many GPUs on demand.

    Attributes:
        queue: The job queue. A job goes to the first environment that has room for it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        network: Network,
        instances: GpuInstances,
        multi_node: bool = False,
    ) -> None:
        """Make the queue.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            network: Where the instances stand.
            instances: What they are made of.
            multi_node: Whether its jobs have several nodes, which then stand close together and talk to each other.
        """
        super().__init__(scope, construct_id)
        self._settings = settings
        self._instances = instances
        self._network = network
        self._multi_node = multi_node
        spot_counts = () if multi_node else settings.spot_gpu_counts
        kinds = [
            (gpus, spot) for gpus in settings.gpu_counts for spot in (True, False) if not spot or gpus in spot_counts
        ]
        self.queue = batch.JobQueue(
            self,
            "Queue",
            compute_environments=[
                batch.OrderedComputeEnvironment(
                    compute_environment=self._environment(
                        gpus,
                        spot=spot,
                        # Where the next job goes first, and the instances are the smallest.
                        minv_cpus=_WARM_VCPUS if order == 1 and settings.keep_warm_instance and not multi_node else 0,
                    ),
                    order=order,
                )
                for order, (gpus, spot) in enumerate(kinds, start=1)
            ],
            job_state_time_limit_actions=[
                # A job that fits no instance waits for nothing. A lack of capacity may pass: its caller decides.
                batch.JobStateTimeLimitAction(
                    reason=reason,
                    max_time=cdk.Duration.minutes(10),
                    state=batch.JobStateTimeLimitActionsState.RUNNABLE,
                    action=batch.JobStateTimeLimitActionsAction.CANCEL,
                )
                for reason in (
                    batch.JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT,
                    batch.JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE,
                )
            ],
        )

    def _environment(self, gpus: int, *, spot: bool, minv_cpus: int) -> batch.ManagedEc2EcsComputeEnvironment:
        settings, network = self._settings, self._network
        security_groups: list[ec2.ISecurityGroup] = [network.compute_security_group]
        if self._multi_node:
            security_groups.append(network.nodes_security_group)
        has_efa = self._multi_node and gpus in settings.efa_gpu_counts
        launch_template = (
            self._instances.add_efa_launch_template(gpus, security_groups)
            if has_efa
            else self._instances.launch_template
        )
        environment = batch.ManagedEc2EcsComputeEnvironment(
            self,
            f"{'Spot' if spot else ''}Environment{gpus}Gpu",
            vpc=network.vpc,
            vpc_subnets=network.one_compute_subnet if self._multi_node else network.compute_subnets,
            security_groups=security_groups,
            # One for each environment: a group with instances of one size finds room more easily.
            placement_group=ec2.PlacementGroup(
                self, f"PlacementGroup{gpus}Gpu", strategy=ec2.PlacementGroupStrategy.CLUSTER
            )
            if self._multi_node
            else None,
            instance_types=[ec2.InstanceType(name) for name in settings.types_with(gpus)],
            # Would add C4, M4 and R4, on which no job can run.
            use_optimal_instance_classes=False,
            spot=spot,
            allocation_strategy=batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
            if spot
            else batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
            images=[batch.EcsMachineImage(image_type=batch.EcsMachineImageType.ECS_AL2023_NVIDIA)],
            launch_template=launch_template,
            instance_role=self._instances.role,
            minv_cpus=minv_cpus,
            maxv_cpus=settings.max_vcpus,
        )
        resource = environment.node.default_child
        assert isinstance(resource, batch.CfnComputeEnvironment)
        # The construct has no properties for these. Without a version, a changed launch template would change nothing.
        resource.ecs_settings = batch.CfnComputeEnvironment.EcsSettingsProperty(container_insights="ENHANCED")
        resource.add_property_override("ComputeResources.LaunchTemplate.Version", launch_template.latest_version_number)
        if has_efa:
            # EC2 refuses security groups beside a network interface, which has them in the launch template.
            resource.add_property_deletion_override("ComputeResources.SecurityGroupIds")
        return environment
