"""The faults: a module for each part of the system."""

from tests.faults.scenarios import (
    callers,
    clusters,
    eks,
    events,
    functions,
    jobs,
    network,
    nodes,
    objects,
    sagemaker,
    simulators,
    slurm,
)

__all__ = [
    "callers",
    "clusters",
    "eks",
    "events",
    "functions",
    "jobs",
    "network",
    "nodes",
    "objects",
    "sagemaker",
    "simulators",
    "slurm",
]
