"""The file system on which a run's directory lives while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from constructs import Construct

RUNS_PATH = "/gaitway"
"""The directory of runs in the file system."""
MOUNT_PATH = "/mnt/gaitway"
"""Where jobs and functions see it; Lambda takes paths below /mnt only."""


class RunFileSystem(Construct):
    """An encrypted EFS file system with one access point.

    Attributes:
        file_system: The file system.
        access_point: Its access point: all clients become user 1000 below `/gaitway`, whatever user the container has.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnets: ec2.SubnetSelection,
        zones: Sequence[str] | None,
        security_group: ec2.ISecurityGroup,
        has_training_jobs: bool = False,
    ) -> None:
        """Make the file system.

        Args:
            scope: Parent.
            construct_id: Id.
            vpc: The VPC.
            subnets: The subnets of its mount targets, one in a zone.
            zones: The zones of these subnets, if they are known and may change.
            security_group: Of the mount targets.
            has_training_jobs: Whether SageMaker mounts it, which knows neither access points nor TLS.
        """
        super().__init__(scope, construct_id)
        self.file_system = efs.FileSystem(
            self,
            "FileSystem",
            vpc=vpc,
            vpc_subnets=subnets,
            security_group=security_group,
            encrypted=True,
            throughput_mode=efs.ThroughputMode.ELASTIC,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            out_of_infrequent_access_policy=efs.OutOfInfrequentAccessPolicy.AFTER_1_ACCESS,
            enable_automatic_backups=True,
            file_system_policy=_whoever_reaches_it() if has_training_jobs else _only_roles_over_tls(),
            # It may hold the only copy of a checkpoint.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        if zones is not None:
            self._name_mount_targets(zones)
        self.access_point = self.file_system.add_access_point(
            "Runs",
            path=RUNS_PATH,
            create_acl=efs.Acl(owner_uid="1000", owner_gid="1000", permissions="750"),
            posix_user=efs.PosixUser(uid="1000", gid="1000"),
        )

    def _name_mount_targets(self, zones: Sequence[str]) -> None:
        """Keep the mount target of a zone when other zones come and go.

        The CDK names it after its subnet's number in the VPC. With another number it would be replaced, and there would
        be two in its zone for a while.
        """
        mount_targets = [child for child in self.file_system.node.children if isinstance(child, efs.CfnMountTarget)]
        for mount_target, zone in zip(mount_targets, zones, strict=True):
            mount_target.override_logical_id(f"{self.node.id}MountTarget{zone.replace('-', '')}")

    def grant_read(self, role: iam.IRole) -> None:
        """Let a role mount the file system through the access point, to read."""
        self._grant(role, "elasticfilesystem:ClientMount")

    def grant_read_write(self, role: iam.IRole) -> None:
        """Let a role mount the file system through the access point."""
        self._grant(role, "elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite")

    def grant_root(self, role: iam.IRole) -> None:
        """Let a role mount the whole file system as root, as SageMaker does for its training jobs."""
        actions = ("ClientMount", "ClientWrite", "ClientRootAccess")
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=[f"elasticfilesystem:{action}" for action in actions],
                resources=[self.file_system.file_system_arn],
            )
        )

    def _grant(self, role: iam.IRole, *actions: str) -> None:
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=[*actions],
                resources=[self.file_system.file_system_arn],
                conditions={"StringEquals": {"elasticfilesystem:AccessPointArn": self.access_point.access_point_arn}},
            )
        )


def _only_roles_over_tls() -> iam.PolicyDocument:
    """Close the file system to clients without a role: having any policy does that. This one denies clear text."""
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess")],
                conditions={"Bool": {"aws:SecureTransport": "false"}},
            )
        ]
    )


def _whoever_reaches_it() -> iam.PolicyDocument:
    """Leave it to the security group who may mount it: only jobs and our functions reach the mount targets.

    SageMaker mounts a FileSystemDataSource by its id and a directory, without an access point
    (docs.aws.amazon.com/sagemaker/latest/APIReference/API_FileSystemDataSource.html). No page says that it does so
    with a role, or over TLS. Its containers are root, and must be able to write where others wrote:
    docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    """
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=[f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess")],
                conditions={"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
            )
        ]
    )
