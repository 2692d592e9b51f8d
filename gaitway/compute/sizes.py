"""What the deployment's instances have room for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field

from gaitway.contracts.backends import Backend
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import Model
from gaitway.contracts.request import ComputeConfig


class JobSize(Model):
    """The resources of a job, or of each node of one."""

    gpus: Annotated[int, Field(ge=0)]
    """0 where there are none, as in the embedded deployment."""
    vcpus: Annotated[int, Field(ge=1)]
    memory_mib: Annotated[int, Field(ge=1)]
    max_nodes: Annotated[int, Field(ge=1)]
    """How many nodes of this size may start together."""
    instance_gpus: Annotated[int, Field(ge=1)]
    """The number of GPUs of its instances."""


_TYPES: Mapping[Backend, str] = {
    "batch": "instanceTypes",
    "sagemaker": "sagemakerInstanceTypes",
    "hyperpod-eks": "instanceTypes",
    "hyperpod-slurm": "instanceTypes",
}
_LIMITS: Mapping[Backend, str] = {
    "batch": "maxVcpus",
    "sagemaker": "sagemakerMaxInstances",
    "hyperpod-eks": "clusterNodes",
    "hyperpod-slurm": "clusterNodes",
}
"""The settings that decide which sizes there are."""

JobSizes = dict[int, JobSize]
"""By `gpusPerNode`."""


FURTHER_BACKENDS = "GAITWAY_FURTHER_BACKENDS"
"""The variable that holds the back ends beside AWS Batch, with the sizes of their jobs."""
BackendSizes = Mapping[Backend, JobSizes]
"""Of each back end that a deployment has."""


def check_compute(compute: ComputeConfig, backends: BackendSizes) -> None:
    """Refuse a request that the deployment's back ends cannot run.

    Raises:
        RequestError: Names the field, its value and what is allowed.
    """
    check_backend(compute, backends)
    job_size(compute, backends[compute.backend])


def check_backend(compute: ComputeConfig, backends: Collection[str]) -> None:
    """Refuse a request for a back end that the deployment does not have.

    Raises:
        RequestError: Names those that it has.
    """
    if compute.backend not in backends:
        raise RequestError(
            f"computeConfig.backend is {compute.backend!r}, which this deployment does not have, allowed here: "
            f"{', '.join(backends)}. Name one of these, or deploy with {compute.backend} in the setting backends"
        )


def job_size(compute: ComputeConfig, sizes: JobSizes) -> JobSize:
    """Choose a job's size.

    Raises:
        RequestError: Nothing that is deployed has room for it.
    """
    size = sizes.get(compute.gpus_per_node)
    if size is None:
        allowed = ", ".join(str(gpus) for gpus in sorted(sizes))
        raise RequestError(
            f"computeConfig.gpusPerNode is {compute.gpus_per_node}, allowed here: {allowed} (what fits the deployed "
            f"{_TYPES.get(compute.backend, 'instances')})"
        )
    if compute.num_nodes > size.max_nodes:
        raise RequestError(
            f"computeConfig.numNodes is {compute.num_nodes}, allowed here: at most {size.max_nodes} with "
            f"{compute.gpus_per_node} per node in gpusPerNode (what fits the deployed "
            f"{_LIMITS.get(compute.backend, 'instances')})"
        )
    return size
