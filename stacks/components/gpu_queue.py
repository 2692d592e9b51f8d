"""Where jobs wait and run: a Batch queue on instances with GPUs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from gaitway.settings import INSTANCE_SIZES, Settings
from stacks.components.gpu_instances import GpuInstances
from stacks.components.network import Network

_WARM_VCPUS = 8
"""One 2xlarge."""


class GpuQueue(Construct):
    """A queue, and behind it a managed compute environment for each number of GPUs that an instance may have.

    Within one environment Batch prefers the type whose vCPUs cost least, which is often the largest
    (docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html): a job for one GPU would be given four.

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
        counts = sorted({INSTANCE_SIZES[name].gpus for name in settings.instance_types})
        # The first one has the smallest instances.
        warm = counts[0] if settings.keep_warm_instance and not multi_node else None
        self.queue = batch.JobQueue(
            self,
            "Queue",
            compute_environments=[
                batch.OrderedComputeEnvironment(
                    compute_environment=self._environment(count, minv_cpus=_WARM_VCPUS if count == warm else 0),
                    order=order,
                )
                for order, count in enumerate(counts, start=1)
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

    def _environment(self, gpus: int, minv_cpus: int) -> batch.ManagedEc2EcsComputeEnvironment:
        settings, network = self._settings, self._network
        environment = batch.ManagedEc2EcsComputeEnvironment(
            self,
            f"Environment{gpus}Gpu",
            vpc=network.vpc,
            vpc_subnets=network.one_compute_subnet if self._multi_node else network.compute_subnets,
            security_groups=[
                network.compute_security_group,
                *([network.nodes_security_group] if self._multi_node else []),
            ],
            # One for each environment: a group with instances of one size finds room more easily.
            placement_group=ec2.PlacementGroup(
                self, f"PlacementGroup{gpus}Gpu", strategy=ec2.PlacementGroupStrategy.CLUSTER
            )
            if self._multi_node
            else None,
            instance_types=[
                ec2.InstanceType(name) for name in settings.instance_types if INSTANCE_SIZES[name].gpus == gpus
            ],
            # Would add C4, M4 and R4, on which no job can run.
            use_optimal_instance_classes=False,
            allocation_strategy=batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
            images=[batch.EcsMachineImage(image_type=batch.EcsMachineImageType.ECS_AL2023_NVIDIA)],
            launch_template=self._instances.launch_template,
            instance_role=self._instances.role,
            minv_cpus=minv_cpus,
            maxv_cpus=settings.max_vcpus,
        )
        resource = environment.node.default_child
        assert isinstance(resource, batch.CfnComputeEnvironment)
        # The construct has no properties for these. Without a version, a changed launch template would change nothing.
        resource.ecs_settings = batch.CfnComputeEnvironment.EcsSettingsProperty(container_insights="ENHANCED")
        resource.add_property_override(
            "ComputeResources.LaunchTemplate.Version", self._instances.launch_template.latest_version_number
        )
        return environment
