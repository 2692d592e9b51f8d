"""Where jobs wait and run: a Batch queue on instances with GPUs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.network import Network

_WARM_VCPUS = 8
"""One 2xlarge."""


class GpuQueue(Construct):
    """A managed compute environment and the queue before it.

    Attributes:
        queue: The job queue.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, network: Network) -> None:
        super().__init__(scope, construct_id)
        launch_template = self._launch_template()
        environment = batch.ManagedEc2EcsComputeEnvironment(
            self,
            "Environment",
            vpc=network.vpc,
            vpc_subnets=network.compute_subnets,
            security_groups=[network.compute_security_group],
            instance_types=[ec2.InstanceType(name) for name in settings.instance_types],
            # Would add C4, M4 and R4, on which no job can run.
            use_optimal_instance_classes=False,
            allocation_strategy=batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
            images=[batch.EcsMachineImage(image_type=batch.EcsMachineImageType.ECS_AL2023_NVIDIA)],
            launch_template=launch_template,
            instance_role=self._instance_role(),
            minv_cpus=_WARM_VCPUS if settings.keep_warm_instance else 0,
            maxv_cpus=settings.max_vcpus,
        )
        resource = environment.node.default_child
        assert isinstance(resource, batch.CfnComputeEnvironment)
        # The construct has no properties for these. Without a version, a changed launch template would change nothing.
        resource.ecs_settings = batch.CfnComputeEnvironment.EcsSettingsProperty(container_insights="ENHANCED")
        resource.add_property_override("ComputeResources.LaunchTemplate.Version", launch_template.latest_version_number)

        self.queue = batch.JobQueue(
            self,
            "Queue",
            compute_environments=[batch.OrderedComputeEnvironment(compute_environment=environment, order=1)],
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

    def _launch_template(self) -> ec2.LaunchTemplate:
        return ec2.LaunchTemplate(
            self,
            "LaunchTemplate",
            require_imdsv2=True,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    # The image of Isaac Sim takes 20 GB, unpacked beside its layers, and shader caches grow.
                    volume=ec2.BlockDeviceVolume.ebs(
                        100, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3, delete_on_termination=True
                    ),
                )
            ],
        )

    def _instance_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "InstanceRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonEC2ContainerServiceforEC2Role")
            ],
        )
        acknowledge(
            role,
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role]",
            "What the ECS agent on an instance needs is AWS's to say, and changes with the agent.",
        )
        return role
