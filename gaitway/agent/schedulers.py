"""The schedulers that an agent can work for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gaitway.agent.kubernetes import kubernetes
from gaitway.agent.scheduler import Scheduler
from gaitway.agent.slurm import Slurm
from gaitway.contracts.backends import Backend
from gaitway.contracts.cluster import AgentConfig


class Kind(NamedTuple):
    """A kind of cluster."""

    backend: Backend
    scheduler: Callable[[AgentConfig], Scheduler]


SCHEDULERS: Mapping[str, Kind] = {
    "kubernetes": Kind("hyperpod-eks", kubernetes),
    "slurm": Kind("hyperpod-slurm", Slurm),
}
"""By their names on the command line."""
