"""What a training container finds, and how it starts.

docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from gaitway.contracts.model import S3Uri
from gaitway.local.extensions.batch.container import ProcessSpec
from gaitway.local.extensions.batch.container_environment import container_environment
from gaitway.local.extensions.batch.images import IMAGES, Image
from gaitway.local.extensions.efs import directory_of
from gaitway.local.extensions.sagemaker.checkpoints import Synchronised
from gaitway.local.extensions.sagemaker.model import TrainingJob
from gaitway.local.mounts import rewrite
from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, file_system_exists

BASE_DIRECTORY = "SAGEMAKER_BASE_DIR"
"""What stands for /opt/ml: the toolkit's own variable, which AWS does not set."""
_ROOT = "/opt/ml"


class CannotStartError(Exception):
    """The training job cannot start, for a reason that SageMaker shows after `ClientError: `."""


def image_of(job: TrainingJob) -> Image:
    """Find the image.

    Raises:
        CannotStartError: There is no such image.
    """
    uri = str(job.request["AlgorithmSpecification"]["TrainingImage"])
    image = IMAGES.get(uri.partition("@")[0])
    if image is None:
        known = ", ".join(sorted(IMAGES))
        raise CannotStartError(f"Cannot find the requested image: {uri} does not exist; the embedded AWS knows {known}")
    return image


def prepare(
    job: TrainingJob, host: str, directory: Path, given: Mapping[str, str], image: Image, runtime: Runtime
) -> ProcessSpec:
    """Write what SageMaker writes for a host, and work out its command and environment.

    Args:
        job: The training job.
        host: Name of the host.
        directory: Becomes the host's own disk; what was there is gone, as on a new instance.
        given: Variables that the emulator sets.
        image: The container's image.
        runtime: The emulator.

    Raises:
        CannotStartError: A file system does not exist.
    """
    shutil.rmtree(directory, ignore_errors=True)
    base = directory / "opt" / "ml"
    for name in ("input/config", "input/data", "model", "output/data", "code"):
        (base / name).mkdir(parents=True)
    working_directory = directory / "work"
    working_directory.mkdir()
    config = base / "input" / "config"
    (config / "hyperparameters.json").write_text("{}", encoding="utf-8")
    (config / "resourceconfig.json").write_text(json.dumps(_resources(job, host)), encoding="utf-8")
    channels = {channel["ChannelName"]: channel for channel in job.request.get("InputDataConfig", [])}
    (config / "inputdataconfig.json").write_text(json.dumps(_input_data(channels)), encoding="utf-8")
    if checkpoints := job.request.get("CheckpointConfig"):
        # github.com/aws/sagemaker-xgboost-container, `checkpointing.py`
        (config / "checkpointconfig.json").write_text(json.dumps({"LocalPath": _local_path(checkpoints)}))
    mounts = {}
    for name, channel in channels.items():
        source = channel["DataSource"]["FileSystemDataSource"]
        if not file_system_exists(source["FileSystemId"]):
            raise CannotStartError(f"Unable to mount file system {source['FileSystemId']}: it does not exist")
        mounted = directory_of(runtime, source["FileSystemId"], root=source["DirectoryPath"])
        # A process has no mounts: paths in variables and arguments lead to the directory, and a look around to a link.
        mounts[f"{_ROOT}/input/data/{name}"] = mounted
        (base / "input" / "data" / name).symlink_to(mounted, target_is_directory=True)
    # The longest path first, because one is inside another.
    directories = {**mounts, _ROOT: base, **image.files}
    specification = job.request["AlgorithmSpecification"]
    # Given alone, the arguments follow `train`, by default:
    # docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html
    entrypoint = specification.get("ContainerEntrypoint") or [*image.entrypoint, "train"]
    environment = container_environment(
        image,
        job.request.get("Environment", {}),
        {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn, BASE_DIRECTORY: _ROOT, **given},
        home=working_directory,
        endpoint_url=runtime.endpoint_url,
    )
    return ProcessSpec(
        command=[rewrite(item, directories) for item in [*entrypoint, *specification.get("ContainerArguments", [])]],
        environment={name: rewrite(value, directories) for name, value in environment.items()},
        working_directory=working_directory,
    )


def synchronised(job: TrainingJob, directory: Path, runtime: Runtime) -> Synchronised | None:
    """Return the directory of a host that is the same as a prefix in S3, if there is one.

    Args:
        job: The training job.
        directory: The host's own disk.
        runtime: The emulator.
    """
    checkpoints = job.request.get("CheckpointConfig")
    if not checkpoints:
        return None
    place = directory / _local_path(checkpoints).strip("/")
    return Synchronised(S3Uri.parse(checkpoints["S3Uri"]), place, job.request["RoleArn"], runtime)


def _local_path(checkpoints: Json) -> str:
    """docs.aws.amazon.com/sagemaker/latest/APIReference/API_CheckpointConfig.html."""
    return str(checkpoints.get("LocalPath", f"{_ROOT}/checkpoints/"))


def failure_of(directory: Path) -> str:
    """Read what a container says of its failure: the first 1024 characters of a file.

    docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
    """
    try:
        return (directory / "opt" / "ml" / "output" / "failure").read_text(encoding="utf-8", errors="replace")[:1024]
    except OSError:
        return ""


def _resources(job: TrainingJob, host: str) -> Json:
    instance_type = job.request["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": job.hosts}
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": job.hosts,
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _input_data(channels: Mapping[str, Json]) -> Json:
    return {name: {"TrainingInputMode": "File", "RecordWrapperType": "None"} for name in channels}
