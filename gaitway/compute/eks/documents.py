"""All that a run on a cluster of EKS needs there, for people who submit by hand: `kubectl apply` takes it."""

from __future__ import annotations

import json

from gaitway.compute.eks.agent_manifests import agent_manifest
from gaitway.compute.eks.manifests import Eks, Manifest, permission_manifests, run_manifests, storage_manifests
from gaitway.contracts.cluster import AgentConfig, SubmitOrder


def namespace_manifests(eks: Eks) -> list[Manifest]:
    """Return what a deployment has in its team's namespace, whatever runs: an administrator makes it once."""
    return [*permission_manifests(eks), *storage_manifests(eks), agent_manifest(eks)]


def documents(order: SubmitOrder, config: AgentConfig) -> dict[str, str]:
    """Write what the agent submits, and what the namespace needs before, by file name."""
    eks = Eks.of(config)
    once = namespace_manifests(eks)
    files = {f"namespace-{one['kind'].lower()}-{one['metadata']['name']}.json": one for one in once}
    [job] = run_manifests(order, eks)
    return {name: json.dumps(one, indent=2) for name, one in (files | {f"{order.key}.json": job}).items()}
