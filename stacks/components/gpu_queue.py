"""Where jobs wait and run: a Batch queue on instances with GPUs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.gpu_instances import GpuInstances
from stacks.components.network import Network
from stacks.components.simulation_job import LONGEST_ATTEMPT

_WARM_VCPUS = 8
"""One 2xlarge."""


class GpuQueue(Construct):
    """A queue for jobs that need a certain number of GPUs, and its managed compute environments.

    A queue of AWS Batch is first in, first out: a job for four GPUs that finds no instance would block every job for
    one GPU behind it (docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html). And within one environment
    Batch prefers the type whose vCPUs cost least, which is often the largest
    (docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html): a job for one GPU would get four.

    Attributes:
        queue: The job queue. With Spot instances, a job tries these first.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        gpus: int,
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
            gpus: How many GPUs each instance has.
            network: The network of the instances.
            instances: Launch template and role of the instances.
            multi_node: Whether its jobs have several nodes, which are then in a placement group and talk to each other.
        """
        super().__init__(scope, construct_id)
        self._settings = settings
        self._gpus = gpus
        self._instances = instances
        self._network = network
        self._multi_node = multi_node
        names = settings.names
        # Multi-node jobs cannot use Spot: docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
        purchases = (True, False) if settings.use_spot and not multi_node else (False,)
        # Where the instances are the smallest; and of their environments that to which the next job goes first.
        is_kept_warm = settings.keep_warm_instance and not multi_node and gpus == settings.gpu_counts[0]
        self.queue = batch.JobQueue(
            self,
            "Queue",
            job_queue_name=names.multi_node_job_queue(gpus) if multi_node else names.job_queue(gpus),
            compute_environments=[
                batch.OrderedComputeEnvironment(
                    compute_environment=self._environment(
                        spot=spot, minv_cpus=_WARM_VCPUS if is_kept_warm and order == 1 else 0
                    ),
                    order=order,
                )
                for order, spot in enumerate(purchases, start=1)
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

    def _environment(self, *, spot: bool, minv_cpus: int) -> batch.ManagedEc2EcsComputeEnvironment:
        settings, network, gpus = self._settings, self._network, self._gpus
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
            "SpotEnvironment" if spot else "Environment",
            vpc=network.vpc,
            vpc_subnets=network.one_zone_subnets if self._multi_node else network.compute_subnets,
            security_groups=security_groups,
            # One for each environment: a group with instances of one size finds room more easily.
            placement_group=ec2.PlacementGroup(self, "PlacementGroup", strategy=ec2.PlacementGroupStrategy.CLUSTER)
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
            # A changed launch template, image or list of types replaces the instances. Jobs on them continue, by
            # default for up to 30 minutes; the most that Batch allows is 7200:
            # docs.aws.amazon.com/batch/latest/APIReference/API_UpdatePolicy.html
            terminate_on_update=False,
            update_timeout=LONGEST_ATTEMPT,
            # Without it every later instance starts from the image of the environment's first day:
            # docs.aws.amazon.com/batch/latest/userguide/infrastructure-updates.html
            update_to_latest_image_version=True,
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
