"""A deployment with real Slurm beside it, as tests see it."""

from __future__ import annotations

from pathlib import Path

from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import SLURM, Launcher, cluster_settings
from gaitway.names import DEFAULT_NAMES


def slurm_launcher(directory: Path) -> Launcher:
    """Return the launcher of a deployment with Slurm in a state directory."""
    deployer = CdkDeployer(directory.with_name("cdk"), context=cluster_settings([SLURM]))
    return Launcher(directory, deployer, DEFAULT_NAMES, [SLURM])
