"""The nodes, and what becomes of one that is gone, as `kubectl delete node` has it.

HyperPod replaces a node whose hardware fails, and the new one comes under another name, after some minutes; here at
once: docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-resiliency-node-recovery.html. Pods of a node that
does not exist are removed: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection.
"""

from __future__ import annotations

from collections.abc import Mapping

from gaitway.local.kubernetes.kinds import NODE, POD
from gaitway.local.kubernetes.store import Store
from gaitway.local.kubernetes.training_operator import delete_pod


class Nodes:
    """Keeps the number of nodes, and removes the pods of those that are gone.

    Args:
        store: The objects.
        count: How many there shall be.
        labels: Of each.
        allocatable: What each has, as quantities.
    """

    def __init__(self, store: Store, count: int, labels: Mapping[str, str], allocatable: Mapping[str, str]) -> None:
        self._store = store
        self._count = count
        self._labels = labels
        self._allocatable = allocatable
        self._made = 0

    def reconcile(self) -> None:
        """Make the nodes that are missing, after the pods of lost ones are told to go."""
        names = {node["metadata"]["name"] for node in self._store.all(NODE)}
        for pod in self._store.all(POD):
            if pod["spec"].get("nodeName", "") not in ("", *names):
                delete_pod(self._store, pod["metadata"]["namespace"], pod["metadata"]["name"], grace_seconds=0)
        for _ in range(self._count - len(names)):
            metadata = {"name": f"hyperpod-i-{self._made:017x}", "labels": dict(self._labels)}
            self._store.create(NODE, {"metadata": metadata, "status": {"allocatable": dict(self._allocatable)}})
            self._made += 1
