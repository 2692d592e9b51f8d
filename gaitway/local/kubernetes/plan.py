"""What the stand-in's process is told, and what it says: files in its directory.

This module needs none of the packages that the stand-in needs.
"""

from __future__ import annotations

from gaitway.contracts.cluster import AgentConfig
from gaitway.contracts.model import Model

PLAN, KUBECONFIG = "plan.json", "kubeconfig"


class Plan(Model):
    """What the stand-in is told."""

    endpoint_url: str
    """The emulator's."""
    config: AgentConfig
    """The agent's, from the deployment."""
    volume: str
    """The directory that stands for the deployment's access point."""
    roles: dict[str, str]
    """Associations of pod identity: names of roles, by service account."""
