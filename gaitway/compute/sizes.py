"""What the deployment's instances have room for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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


JobSizes = dict[int, JobSize]
"""By `gpusPerNode`."""


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
            "instanceTypes)"
        )
    if compute.num_nodes > size.max_nodes:
        raise RequestError(
            f"computeConfig.numNodes is {compute.num_nodes}, allowed here: at most {size.max_nodes} with "
            f"{compute.gpus_per_node} per node in gpusPerNode (what fits the deployed maxVcpus)"
        )
    return size
