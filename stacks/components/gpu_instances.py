"""What every instance with GPUs is made of, whichever queue it works for."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.components.findings import acknowledge

_BOOT_SCRIPT = Path(__file__).parent / "instance_boot.sh"


class GpuInstances(Construct):
    """Disk, metadata, boot script and permissions of the instances.

    Args:
        allow_sessions: Whether people may enter them through AWS Systems Manager's Session Manager.

    Attributes:
        launch_template: How they start.
        role: The role of the ECS agent on them.
    """

    def __init__(self, scope: Construct, construct_id: str, *, allow_sessions: bool) -> None:
        super().__init__(scope, construct_id)
        self.launch_template = self._new_launch_template("LaunchTemplate")
        self.role = self._new_role()
        if allow_sessions:
            self._allow_sessions()

    def add_efa_launch_template(self, gpus: int, security_groups: list[ec2.ISecurityGroup]) -> ec2.LaunchTemplate:
        """Make a launch template whose instances have an Elastic Fabric Adapter.

        An instance type without one does not start from it: docs.aws.amazon.com/batch/latest/userguide/efa.html

        Args:
            gpus: How many GPUs the instances have.
            security_groups: Of the instances. A compute environment whose template has a network interface names none.
        """
        template = self._new_launch_template(f"EfaLaunchTemplate{gpus}Gpu")
        resource = template.node.default_child
        assert isinstance(resource, ec2.CfnLaunchTemplate)
        resource.add_property_override(
            "LaunchTemplateData.NetworkInterfaces",
            [
                {
                    "DeviceIndex": 0,
                    "InterfaceType": "efa",
                    "Groups": [group.security_group_id for group in security_groups],
                    "DeleteOnTermination": True,
                }
            ],
        )
        return template

    def _new_launch_template(self, construct_id: str) -> ec2.LaunchTemplate:
        # AWS Batch merges its own part with ours, and accepts no other form:
        # docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
        user_data = ec2.MultipartUserData()
        user_data.add_part(
            ec2.MultipartBody.from_user_data(ec2.UserData.custom(_BOOT_SCRIPT.read_text(encoding="utf-8")))
        )
        return ec2.LaunchTemplate(
            self,
            construct_id,
            require_imdsv2=True,
            # For containers behind a bridge, which are a hop away. Those of jobs are not: see the boot script.
            http_put_response_hop_limit=1,
            user_data=user_data,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    # The image of Isaac Sim needs 20 GB, unpacked in addition to its layers, and shader caches grow. It
                    # is read at a job's start: at gp3's default of 125 MiB/s, that alone would take minutes.
                    volume=ec2.BlockDeviceVolume.ebs(
                        100,
                        encrypted=True,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                        iops=4000,
                        throughput=500,
                        delete_on_termination=True,
                    ),
                )
            ],
        )

    def _new_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
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

    def _allow_sessions(self) -> None:
        """Let the agent of AWS Systems Manager, which Amazon's image has, take sessions; they can forward ports.

        The least that it needs, without encryption by a key of one's own:
        docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
        """
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                # docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmessagegatewayservice.html
                resources=["*"],
            )
        )
        acknowledge(self.role, "IAM5[Resource::*]", "The channels of the instance's own agent take no resource.")
