"""The hosts that exist. Only this module and the adapters know which one a job is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gaitway.compute.backends import DEFAULT
from gaitway.runner.host import batch, eks, sagemaker, slurm
from gaitway.runner.host.host import Host

BACKEND = "GAITWAY_BACKEND"
"""The variable that names the back end of the job."""
ACTIONS: Mapping[str, tuple[str, ...]] = {DEFAULT: batch.ACTIONS, "sagemaker": sagemaker.ACTIONS}
"""By back end: the AWS actions with which hosts describe their own jobs. AWS cannot limit them to one job."""
PREFIXES: tuple[str, ...] = (batch.PREFIX, *sagemaker.PREFIXES, slurm.PREFIX)
"""Prefixes of the variables that describe a job and hold no secret."""

ClientOf = Callable[[str], Any]
"""Makes a client of an AWS service with short timeouts: a job that is being ended has only seconds."""

_HOSTS: Mapping[str, Callable[[Mapping[str, str], ClientOf], Host]] = {
    DEFAULT: batch.BatchHost.of,
    "hyperpod-eks": eks.EksHost.of,
    "sagemaker": sagemaker.SageMakerHost.of,
    "hyperpod-slurm": slurm.SlurmHost.of,
}


def host_of(variables: Mapping[str, str], client: ClientOf) -> Host:
    """Find what runs this job.

    Args:
        variables: The job's environment.
        client: Makes the clients for the host's calls; called only when they are needed.

    Raises:
        ValueError: The host is unknown, or its variables are wrong.
    """
    name = variables.get(BACKEND, DEFAULT)
    if name not in _HOSTS:
        raise ValueError(f"{BACKEND} is {name!r}, allowed: {', '.join(_HOSTS)}; is the job's image older than the job?")
    return _HOSTS[name](variables, client)
