"""The job: the runner's container on one instance or on several, and the role with which it reads its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.contracts.limits import LONGEST_RUN_SECONDS
from gaitway.libraries.simulators import Simulator, simulator_of_before
from gaitway.settings import Settings
from stacks.components.file_system import MOUNT_PATH, RunFileSystem
from stacks.components.job_image import JobImage
from stacks.components.logs import log_group

CACHE_PATH = "/var/cache/gaitway"
"""On the instance, made by `instance_boot.sh`, and in the container."""
MACHINE_PATH = "/etc/gaitway"
"""Path on the instance, where `instance_boot.sh` writes its type, and in the container. A directory, because Docker
would create one for a missing file."""
_EFA_DEVICE = "/dev/infiniband/uverbs0"
"""The only name that AWS Batch takes: docs.aws.amazon.com/batch/latest/userguide/efa.html"""

_NCCL = {
    # A node's container has its own network interface, and another one to the ECS agent, through which no other node
    # can be reached.
    "NCCL_SOCKET_IFNAME": "^lo,docker,ecs",
    # Says once which network it has chosen, and why not the adapter.
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_SUBSYS": "INIT,NET",
}

LONGEST_ATTEMPT = cdk.Duration.seconds(LONGEST_RUN_SECONDS)
"""No caller waits longer."""
_ATTEMPTS = 3
"""An interrupted run resumes from its newest checkpoint."""
_SPOT_ATTEMPTS = 5
"""A Spot instance may be taken away more than once in a training of hours."""
_FAILED = "10"
"""Exit code of the runner for a failure that it has reported."""


class SimulationJob(Construct):
    """Job definitions of each simulator, for one node and for several, which differ in how nodes communicate.

    A job has the parameter `run_id`; a multi-node job has as many nodes as its submission says, all alike. Definitions
    are submitted by their name, never by their ARN: an ARN has a revision, which an update replaces by the next one and
    deregisters (docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-properties-batch-jobdefinition-resourceretentionpolicy.html).

    Attributes:
        role: The role of every process of the job: it may mount the file system, and assume the run's role.
        run_access: The role of runs; a session of the runner is limited to its own run.
        attempts: The most attempts at a job.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        images: Mapping[Simulator, JobImage],
        file_system: RunFileSystem,
        run_table: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._images = images
        self._file_system = file_system
        self._run_table = run_table
        self.attempts = _SPOT_ATTEMPTS if settings.use_spot else _ATTEMPTS
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        file_system.grant_read_write(self.role)
        self.run_access = iam.Role(self, "RunAccess", assumed_by=iam.ArnPrincipal(self.role.role_arn))
        self.run_access.grant_assume_role(self.role)
        self._logs = log_group(self, "Logs", settings.names.job_logs)
        self._execution_role = iam.Role(
            self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        )
        for simulator, image in images.items():
            image.grant_pull(self._execution_role)
            self._define(simulator, image)

    def _define(self, simulator: Simulator, image: JobImage) -> None:
        """Make a simulator's job definitions."""
        # A deployment from before there was a choice has those without a suffix, with the image of isaaclab-2.
        suffix = "IsaacLab3" if simulator == "isaaclab-3" else ""
        names = self._settings.names
        container = self._container(f"Container{suffix}", image)
        node = self._container(f"Node{suffix}", image, multi_node=True)
        # What both definitions share. A submission sets a shorter timeout.
        common: Any = {
            "parameters": {"run_id": ""},
            "retry_attempts": self.attempts,
            # What no rule matches is tried again.
            "retry_strategies": [batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_exit_code=_FAILED))],
            "timeout": LONGEST_ATTEMPT,
            "propagate_tags": True,
        }
        batch.EcsJobDefinition(
            self,
            f"Definition{suffix}",
            job_definition_name=names.job_definition(simulator),
            container=container,
            **common,
        )
        multi_node_definition = batch.MultiNodeJobDefinition(
            self,
            f"MultiNodeDefinition{suffix}",
            job_definition_name=names.multi_node_job_definition(simulator),
            containers=[batch.MultiNodeContainer(container=node, start_node=0, end_node=1)],
            main_node=0,
            **common,
        )
        resource = multi_node_definition.node.default_child
        assert isinstance(resource, batch.CfnJobDefinition)
        # A range without an end, which the construct cannot write, lets a submission choose the number of nodes:
        # docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html
        resource.add_property_override("NodeProperties.NodeRangeProperties.0.TargetNodes", "0:")

    @property
    def image_uri(self) -> str:
        """The image of a cluster's jobs, which have one: that of isaaclab-2 where it is deployed."""
        return self.image_uris[simulator_of_before(self._images)]

    @property
    def image_uris(self) -> dict[Simulator, str]:
        """The images, with their tags or digests."""
        return {simulator: image.uri for simulator, image in self._images.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every job, whatever it runs on."""
        settings = self._settings
        return {
            # botocore reads the first, every other SDK the second. ECS agents set both from version 1.104 on, and
            # neither where a definition sets one: github.com/aws/amazon-ecs-agent/pull/4946. Which agent an instance
            # has does not matter with both.
            "AWS_DEFAULT_REGION": cdk.Aws.REGION,
            "AWS_REGION": cdk.Aws.REGION,
            "GAITWAY_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
            "GAITWAY_INSTANCE_PRICES": json.dumps(settings.instance_prices, sort_keys=True),
            "GAITWAY_METRICS_NAMESPACE": settings.names.metrics_namespace,
            "GAITWAY_RUN_ACCESS_ROLE": self.run_access.role_arn,
            "GAITWAY_RUN_TABLE": self._run_table,
        }

    def grant_logs(self, role: iam.IRole) -> None:
        """Let a role write into the log group of jobs."""
        self._logs.grant_write(role)

    def grant_pull(self, role: iam.IRole) -> None:
        """Let a role pull the images."""
        for image in self._images.values():
            image.grant_pull(role)

    def admit(self, role: iam.Role) -> None:
        """Let the jobs of another role do runs, too: they may assume the run's role."""
        policy = self.run_access.assume_role_policy
        assert policy is not None
        policy.add_statements(
            iam.PolicyStatement(actions=["sts:AssumeRole"], principals=[iam.ArnPrincipal(role.role_arn)])
        )
        self.run_access.grant_assume_role(role)

    def _container(
        self, construct_id: str, image: JobImage, *, multi_node: bool = False
    ) -> batch.EcsEc2ContainerDefinition:
        settings, file_system = self._settings, self._file_system
        linux_parameters = batch.LinuxParameters(
            self,
            f"{construct_id}LinuxParameters",
            # Data loaders and NCCL exchange tensors here; Docker's own 64 MiB are too few.
            shared_memory_size=cdk.Size.mebibytes(settings.job_memory_mib // 4),
            # Passes signals on to the runner and reaps orphans of its simulator.
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
            image=image.container_image,
            cpu=settings.job_vcpus,
            memory=cdk.Size.mebibytes(settings.job_memory_mib),
            gpu=settings.job_gpus or None,
            # The image's entry point is the runner. Only an id: the size of a job's overrides is limited, and everyone
            # who may describe jobs can read its command line.
            command=["Ref::run_id"],
            environment={
                **self.environment,
                "GAITWAY_CACHE_ROOT": CACHE_PATH,
                "GAITWAY_EFS_ROOT": MOUNT_PATH,
                # Batch passes a job the number of its attempt, but not how many there are.
                "GAITWAY_JOB_ATTEMPTS": str(self.attempts),
                "GAITWAY_MACHINE_FILE": f"{MACHINE_PATH}/machine.json",
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
                batch.EcsVolume.host(name="cache", container_path=CACHE_PATH, host_path=CACHE_PATH),
                batch.EcsVolume.host(
                    name="machine", container_path=MACHINE_PATH, host_path=MACHINE_PATH, readonly=True
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
