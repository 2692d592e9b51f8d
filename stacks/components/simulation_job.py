"""The job: the runner's container on one instance or on several, and the role with which it reads its run."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.file_system import RunFileSystem
from stacks.components.findings import acknowledge
from stacks.components.logs import log_group

_MOUNT_PATH = "/mnt/gaitway"

_ATTEMPTS = 3
"""A run that is interrupted goes on from its newest checkpoint."""
_FAILED = "10"
"""Exit code of the runner for a failure that it has reported."""


class SimulationJob(Construct):
    """Job definitions for one node and for several, which differ in that only.

    Attributes:
        definition: For one node; its jobs take the parameter `run_id`.
        multi_node_definition: For as many nodes as a submission says, all alike; the same parameter.
        role: What the runner may do.
    """

    def __init__(
        self, scope: Construct, construct_id: str, settings: Settings, *, file_system: RunFileSystem, run_table: str
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        file_system.grant_read_write(self.role)
        container = batch.EcsEc2ContainerDefinition(
            self,
            "Container",
            image=self._image(settings),
            cpu=settings.job_vcpus,
            memory=cdk.Size.mebibytes(settings.job_memory_mib),
            gpu=settings.job_gpus or None,
            # The image's entry point is the runner. An id and no more: the size of a job's overrides is limited, and
            # whoever may describe jobs reads its command line.
            command=["Ref::run_id"],
            environment={
                "AWS_REGION": cdk.Aws.REGION,
                "GAITWAY_EFS_ROOT": _MOUNT_PATH,
                # Batch tells a job which attempt it is, and not how many there are.
                "GAITWAY_JOB_ATTEMPTS": str(_ATTEMPTS),
                "GAITWAY_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
                "GAITWAY_RUN_TABLE": run_table,
            },
            job_role=self.role,
            volumes=[
                batch.EcsVolume.efs(
                    name="runs",
                    container_path=_MOUNT_PATH,
                    file_system=file_system.file_system,
                    access_point_id=file_system.access_point.access_point_id,
                    root_directory="/",
                    enable_transit_encryption=True,
                    use_job_role=True,
                )
            ],
            linux_parameters=batch.LinuxParameters(
                self,
                "LinuxParameters",
                # Data loaders and NCCL exchange tensors here; Docker's own 64 MiB are too few.
                shared_memory_size=cdk.Size.mebibytes(settings.job_memory_mib // 4),
                # Passes signals on to the runner and reaps what its simulator leaves.
                init_process_enabled=True,
            ),
            logging=ecs.LogDriver.aws_logs(
                stream_prefix="job",
                log_group=log_group(self, "Logs", "/gaitway/job"),
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            ),
        )
        acknowledge(
            container.execution_role,
            "IAM5[Resource::*]",
            "ecr:GetAuthorizationToken, to pull the image, takes no resource.",
        )
        # What both definitions share. A submission sets a shorter timeout: this is the longest that any caller waits.
        common: Any = {
            "parameters": {"run_id": ""},
            "retry_attempts": _ATTEMPTS,
            # What no rule matches is tried again.
            "retry_strategies": [batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_exit_code=_FAILED))],
            "timeout": cdk.Duration.hours(8),
            "propagate_tags": True,
        }
        self.definition = batch.EcsJobDefinition(self, "Definition", container=container, **common)
        self.multi_node_definition = batch.MultiNodeJobDefinition(
            self,
            "MultiNodeDefinition",
            containers=[batch.MultiNodeContainer(container=container, start_node=0, end_node=1)],
            main_node=0,
            **common,
        )
        resource = self.multi_node_definition.node.default_child
        assert isinstance(resource, batch.CfnJobDefinition)
        # A range without an end, which the construct cannot write, lets a submission choose the number of nodes:
        # docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html
        resource.add_property_override("NodeProperties.NodeRangeProperties.0.TargetNodes", "0:")

    def _image(self, settings: Settings) -> ecs.ContainerImage:
        if settings.container_image_uri is not None:
            return ecs.ContainerImage.from_registry(settings.container_image_uri)
        repository = ecr.Repository.from_repository_name(self, "Repository", "gaitway")
        return ecs.ContainerImage.from_ecr_repository(repository, tag=version("gaitway"))
