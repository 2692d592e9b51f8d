"""From a job's container properties to a process of this machine."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitway.local.extensions.batch.container_environment import container_environment
from gaitway.local.extensions.batch.images import IMAGES, image_of
from gaitway.local.extensions.batch.instance import instance_directory
from gaitway.local.extensions.batch.model import Container, Job
from gaitway.local.extensions.efs import directory_of
from gaitway.local.mounts import rewrite
from gaitway.local.runtime import HOST, Runtime
from gaitway.local.services import create_log_stream

DEFAULT_LOG_GROUP = "/aws/batch/job"


class ContainerStartError(Exception):
    """The container cannot start; the message is the reason that Batch shows, beginning with the error's name."""


@dataclass(frozen=True)
class LogStream:
    """Where a container's output goes."""

    group: str
    name: str


@dataclass(frozen=True)
class ProcessSpec:
    """One attempt, ready to start."""

    command: list[str]
    environment: dict[str, str]
    working_directory: Path
    """The container's own file system, as far as there is one: it is deleted afterwards."""


def substitute_parameters(command: list[str], parameters: dict[str, str]) -> list[str]:
    """Replace each argument `Ref::name` with the parameter of that name."""
    return [parameters.get(item.removeprefix("Ref::"), item) if item.startswith("Ref::") else item for item in command]


def free_ports(nodes: Sequence[Job]) -> dict[str, str]:
    """Choose the ports on which the main node listens for the others, if their image says so.

    On AWS each node has its own address: docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html. Here all jobs share
    one, so that two of them must not use the same port.
    """
    images = [image_of(node.container) for node in nodes if node.container]
    return {name: str(free_port()) for image in images if image for name in image.port_variables}


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def open_log_stream(job: Job, container: Container, task_id: str) -> LogStream:
    """Create the attempt's log stream, as the awslogs driver does.

    Raises:
        ContainerStartError: The log group does not exist, and the driver may not create it.
    """
    options: dict[str, str] = (container.log_configuration or {}).get("options", {})
    group = options.get("awslogs-group", DEFAULT_LOG_GROUP)
    prefix = options.get("awslogs-stream-prefix") or job.job_definition.rpartition("/")[2].partition(":")[0]
    stream = LogStream(group, f"{prefix}/default/{task_id}")
    create_group = group == DEFAULT_LOG_GROUP or options.get("awslogs-create-group") == "true"
    if not create_log_stream(stream.group, stream.name, create_group=create_group):
        raise ContainerStartError(
            "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to "
            f"create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist: {group}"
        )
    return stream


def prepare(
    job: Job,
    container: Container,
    attempt: int,
    compute_environment: str,
    variables: Mapping[str, str],
    runtime: Runtime,
) -> ProcessSpec:
    """Work out command, environment and working directory of an attempt.

    Mount points are directories of this machine: see gaitway/local/extensions/efs.py.

    Args:
        job: The job, or the node of one.
        container: Its container.
        attempt: From 1.
        compute_environment: Name of the compute environment.
        variables: What Batch sets besides the variables of every job, and what ECS sets.
        runtime: The emulator.

    Raises:
        ContainerStartError: The image is not known here.
    """
    image = image_of(container)
    if image is None:
        raise ContainerStartError(
            f"CannotPullContainerError: pull access denied for {container.image}, repository does not exist: "
            f"the embedded AWS knows {', '.join(sorted(IMAGES))}"
        )
    working_directory = runtime.state_directory / "containers" / f"{job.job_id}-{attempt}"
    working_directory.mkdir(parents=True, exist_ok=True)
    # docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    of_batch = {
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.job_queue.rpartition("/")[2],
        "AWS_BATCH_CE_NAME": compute_environment,
    }
    environment = container_environment(
        image,
        {variable.name: variable.value for variable in container.environment},
        of_batch | dict(variables),
        home=working_directory,
        endpoint_url=runtime.endpoint_url,
    )
    directories = _host_directories(container, runtime)
    return ProcessSpec(
        command=[rewrite(item, directories) for item in [*image.entrypoint, *container.command]],
        environment={name: rewrite(value, directories) for name, value in environment.items()},
        working_directory=working_directory,
    )


def _host_directories(container: Container, runtime: Runtime) -> dict[str, Path]:
    """Map the container path of each mount point to a directory of this machine.

    There is one for each file system of EFS, and one for each directory of the instance that jobs run on.
    """
    volumes = {volume["name"]: volume for volume in container.volumes}
    directories = {}
    for mount in container.mount_points:
        volume = volumes.get(mount.source_volume, {})
        efs, host = volume.get("efsVolumeConfiguration"), volume.get("host")
        if efs:
            access_point = efs.get("authorizationConfig", {}).get("accessPointId")
            root = efs.get("rootDirectory", "/")
            directory = directory_of(runtime, efs["fileSystemId"], access_point=access_point, root=root)
        elif host and "sourcePath" in host:
            directory = instance_directory(runtime) / host["sourcePath"].strip("/")
        else:
            continue
        directory.mkdir(parents=True, exist_ok=True)
        directories[mount.container_path.rstrip("/")] = directory
    # The longest path first, because one mount point may be inside another.
    return dict(sorted(directories.items(), key=lambda item: -len(item[0])))
