"""The cost of an attempt: the price of its machines times the time for which it has them."""

from __future__ import annotations

from datetime import datetime

from gaitway.contracts.backends import CLUSTERS
from gaitway.contracts.history import Cost, Machine
from gaitway.contracts.request import ComputeConfig
from gaitway.instances.prices import ML
from gaitway.instances.types import INSTANCE_SIZES

_PARTS = 7
"""Of a GPU that Multi-Instance GPU divides."""


def cost_of(machine: Machine | None, since: datetime, until: datetime) -> Cost | None:
    """Calculate what an attempt has cost; None if no price is known.

    Args:
        machine: What the attempt runs on.
        since: When the attempt got its machine: when that began to pull the image, if that is known.
        until: End of the time.
    """
    if machine is None or machine.usd_per_hour is None:
        return None
    seconds = max(0.0, (until - since).total_seconds()) * machine.nodes
    return Cost(usd=seconds / 3600 * machine.usd_per_hour * machine.share, machine_seconds=seconds)


def shared(machine: Machine | None, compute: ComputeConfig) -> Machine | None:
    """Say which part of its nodes a run pays for: on a cluster, the part of their GPUs that it asked for.

    A node of a cluster is paid for by the hour, whoever uses it. Of a type that is not known, it counts as a whole.
    """
    if machine is None or compute.backend not in CLUSTERS:
        return machine
    size = INSTANCE_SIZES.get(machine.instance_type.removeprefix(ML))
    if size is None:
        return machine
    # A slice of a GPU has so many of its seven parts: docs.nvidia.com/datacenter/tesla/mig-user-guide/
    gpus = int(compute.gpu_slice[0]) / _PARTS if compute.gpu_slice is not None else compute.gpus_per_node
    return machine.model_copy(update={"share": min(1.0, gpus / size.gpus)})
