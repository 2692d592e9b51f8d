"""The EC2 instance types on which Isaac Sim runs, and what AWS publishes of them: `types.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

_TABLE = Path(__file__).with_name("types.json")

USABLE_MEMORY = 0.9
"""Share of an instance's memory that a job may request: the kernel and the ECS agent need the rest, and a job that
requests more stays RUNNABLE for ever (docs.aws.amazon.com/batch/latest/userguide/memory-management.html).
"""


class InstanceSize(NamedTuple):
    """What an instance type has."""

    vcpus: int
    memory_gib: int
    gpus: int
    gpu: str
    """Name of the GPUs."""
    gpu_memory_mib: int
    """Of each GPU."""
    efa_interfaces: int
    """How many Elastic Fabric Adapters it takes; 0 where it has no use for them."""

    @property
    def usable_memory_mib(self) -> int:
        """The memory that a job may request."""
        return int(self.memory_gib * 1024 * USABLE_MEMORY)


def _read() -> dict[str, InstanceSize]:
    types = json.loads(_TABLE.read_text(encoding="utf-8"))["types"]
    return {name: InstanceSize(**size) for name, size in types.items()}


INSTANCE_SIZES = _read()
"""Instances whose NVIDIA GPUs can render, from the smallest that is large enough for Isaac Sim."""
