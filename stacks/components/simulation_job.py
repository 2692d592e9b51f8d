"""The job: the runner's container on one instance or on several, and the role with which it reads its run."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.file_system import MOUNT_PATH, RunFileSystem
from stacks.components.job_image import JobImage
from stacks.components.logs import JOB_LOGS, log_group

_CACHE_PATH = "/var/cache/gaitway"
"""On the instance, made by `instance_boot.sh`, and in the container."""
_MACHINE_PATH = "/etc/gaitway"
"""On the instance, where `instance_boot.sh` writes what it is, and in the container. A directory: Docker would make one
of a file that is missing."""
_EFA_DEVICE = "/dev/infiniband/uverbs0"
"""The only name that AWS Batch takes: docs.aws.amazon.com/batch/latest/userguide/efa.html"""

_NCCL = {
    # A node's container has a network interface of its own, and beside it one to the ECS agent, through which no other
    # node is reached.
    "NCCL_SOCKET_IFNAME": "^lo,docker,ecs",
    # Says once which network it has chosen, and why not the adapter.
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_SUBSYS": "INIT,NET",
}

_ATTEMPTS = 3
"""A run that is interrupted goes on from its newest checkpoint."""
_SPOT_ATTEMPTS = 5
"""A Spot instance may be taken away more than once in a training of hours."""
_FAILED = "10"
"""Exit code of the runner for a failure that it has reported."""


class SimulationJob(Construct):
    """Job definitions for one node and for several, which differ in that and in how nodes talk.

    Attributes:
        definition: For one node; its jobs take the parameter `run_id`.
        multi_node_definition: For as many nodes as a submission says, all alike; the same parameter.
        role: What every process of the job may do: mount the file system, and become its run.
        run_access: What runs may do; a session of the runner's may do what its own run needs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        image: JobImage,
        file_system: RunFileSystem,
        run_table: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._image = image
        self._file_system = file_system
        self._run_table = run_table
        self._attempts = _SPOT_ATTEMPTS if settings.use_spot else _ATTEMPTS
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        file_system.grant_read_write(self.role)
        self.run_access = iam.Role(self, "RunAccess", assumed_by=iam.ArnPrincipal(self.role.role_arn))
        self.run_access.grant_assume_role(self.role)
        self._logs = log_group(self, "Logs", JOB_LOGS)
        self._execution_role = iam.Role(
            self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        )
        image.grant_pull(self._execution_role)
        container = self._container("Container")
        node = self._container("Node", multi_node=True)
        # What both definitions share. A submission sets a shorter timeout: this is the longest that any caller waits.
        common: Any = {
            "parameters": {"run_id": ""},
            "retry_attempts": self._attempts,
            # What no rule matches is tried again.
            "retry_strategies": [batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_exit_code=_FAILED))],
            "timeout": cdk.Duration.hours(8),
            "propagate_tags": True,
        }
        self.definition = batch.EcsJobDefinition(self, "Definition", container=container, **common)
        self.multi_node_definition = batch.MultiNodeJobDefinition(
            self,
            "MultiNodeDefinition",
            containers=[batch.MultiNodeContainer(container=node, start_node=0, end_node=1)],
            main_node=0,
            **common,
        )
        resource = self.multi_node_definition.node.default_child
        assert isinstance(resource, batch.CfnJobDefinition)
        # A range without an end, which the construct cannot write, lets a submission choose the number of nodes:
        # docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html
        resource.add_property_override("NodeProperties.NodeRangeProperties.0.TargetNodes", "0:")

    def _container(self, construct_id: str, *, multi_node: bool = False) -> batch.EcsEc2ContainerDefinition:
        settings, file_system = self._settings, self._file_system
        linux_parameters = batch.LinuxParameters(
            self,
            f"{construct_id}LinuxParameters",
            # Data loaders and NCCL exchange tensors here; Docker's own 64 MiB are too few.
            shared_memory_size=cdk.Size.mebibytes(settings.job_memory_mib // 4),
            # Passes signals on to the runner and reaps what its simulator leaves.
            init_process_enabled=True,
        )
        if multi_node and settings.efa_gpu_counts:
            linux_parameters.add_devices(
                batch.Device(
                    host_path=_EFA_DEVICE,
                    container_path=_EFA_DEVICE,
                    permissions=[
                        batch.DevicePermission.READ,
                        batch.DevicePermission.WRITE,
                        batch.DevicePermission.MKNOD,
                    ],
                )
            )
        container = batch.EcsEc2ContainerDefinition(
            self,
            construct_id,
            image=self._image.container_image,
            cpu=settings.job_vcpus,
            memory=cdk.Size.mebibytes(settings.job_memory_mib),
            gpu=settings.job_gpus or None,
            # The image's entry point is the runner. An id and no more: the size of a job's overrides is limited, and
            # whoever may describe jobs reads its command line.
            command=["Ref::run_id"],
            environment={
                "AWS_REGION": cdk.Aws.REGION,
                "GAITWAY_CACHE_ROOT": _CACHE_PATH,
                "GAITWAY_EFS_ROOT": MOUNT_PATH,
                # Batch tells a job which attempt it is, and not how many there are.
                "GAITWAY_JOB_ATTEMPTS": str(self._attempts),
                "GAITWAY_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
                "GAITWAY_INSTANCE_PRICES": json.dumps(settings.instance_prices, sort_keys=True),
                "GAITWAY_MACHINE_FILE": f"{_MACHINE_PATH}/machine.json",
                "GAITWAY_RUN_ACCESS_ROLE": self.run_access.role_arn,
                "GAITWAY_RUN_TABLE": self._run_table,
                **(_NCCL if multi_node else {}),
            },
            job_role=self.role,
            execution_role=self._execution_role,
            volumes=[
                batch.EcsVolume.efs(
                    name="runs",
                    container_path=MOUNT_PATH,
                    file_system=file_system.file_system,
                    access_point_id=file_system.access_point.access_point_id,
                    root_directory="/",
                    enable_transit_encryption=True,
                    use_job_role=True,
                ),
                batch.EcsVolume.host(name="cache", container_path=_CACHE_PATH, host_path=_CACHE_PATH),
                batch.EcsVolume.host(
                    name="machine", container_path=_MACHINE_PATH, host_path=_MACHINE_PATH, readonly=True
                ),
            ],
            linux_parameters=linux_parameters,
            logging=ecs.LogDriver.aws_logs(
                stream_prefix="job",
                log_group=self._logs,
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            ),
        )
        if multi_node:
            # NCCL registers its buffers with the adapter, and registered memory is locked.
            container.add_ulimit(name=batch.UlimitName.MEMLOCK, soft_limit=-1, hard_limit=-1)
        return container
