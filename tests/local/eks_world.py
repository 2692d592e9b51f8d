"""A deployment with the stand-in for Kubernetes beside it, as tests see it."""

from __future__ import annotations

from pathlib import Path

from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import EKS, Launcher, cluster_settings
from gaitway.names import DEFAULT_NAMES


def eks_launcher(directory: Path) -> Launcher:
    """Return the launcher of a deployment with the stand-in in a state directory."""
    deployer = CdkDeployer(directory.with_name("cdk"), context=cluster_settings([EKS]))
    return Launcher(directory, deployer, DEFAULT_NAMES, [EKS])
