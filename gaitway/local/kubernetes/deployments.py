"""The Deployment controller, for the strategy Recreate: kubernetes.io/docs/concepts/workloads/controllers/deployment.

It makes pods itself: there are no ReplicaSets between them and their Deployment.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets
from typing import Any

from gaitway.local.kubernetes.kinds import DEPLOYMENT, POD
from gaitway.local.kubernetes.store import Object, Store, now
from gaitway.local.kubernetes.training_operator import delete_pod

_HASH_LABEL = "pod-template-hash"


class Deployments:
    """Makes and ends the pods of Deployments.

    Args:
        store: The objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def reconcile(self) -> None:
        """Bring every Deployment one step on, and end the pods of those that are gone."""
        deployments = {one["metadata"]["uid"]: one for one in self._store.all(DEPLOYMENT)}
        pods_of: dict[str, list[Object]] = {uid: [] for uid in deployments}
        for pod in self._store.all(POD):
            owner = _owner(pod)
            if owner in pods_of:
                pods_of[owner].append(pod)
            elif owner is not None:
                self._delete(pod)
        for uid, deployment in deployments.items():
            self._reconcile(deployment, pods_of[uid])

    def _reconcile(self, deployment: Object, pods: list[Object]) -> None:
        template, wanted = deployment["spec"]["template"], deployment["spec"].get("replicas", 1)
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        current = [pod for pod in pods if pod["metadata"]["labels"][_HASH_LABEL] == digest]
        for pod in [pod for pod in pods if pod not in current] + current[wanted:]:
            self._delete(pod)
        # Recreate: none of the new template as long as there is one of the old one.
        if len(current) == len(pods):
            for _ in range(wanted - len(current)):
                self._create(deployment, template, digest)
        ready = sum(_is_ready(pod) for pod in current)

        def edit(body: Object) -> None:
            counts = {"replicas": len(pods), "updatedReplicas": len(current)}
            counts |= {"readyReplicas": ready, "availableReplicas": ready}
            body["status"] = {"observedGeneration": deployment["metadata"]["generation"]}
            body["status"] |= {name: count for name, count in counts.items() if count}

        metadata = deployment["metadata"]
        self._store.change(DEPLOYMENT, metadata["namespace"], metadata["name"], edit)

    def _create(self, deployment: Object, template: dict[str, Any], digest: str) -> None:
        metadata, template = deployment["metadata"], copy.deepcopy(template)
        owner = {"apiVersion": DEPLOYMENT.version, "kind": DEPLOYMENT.name, "name": metadata["name"]}
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{digest}-{secrets.token_hex(3)[:5]}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"] | {_HASH_LABEL: digest},
                "ownerReferences": [owner | {"uid": metadata["uid"], "controller": True}],
            },
            "spec": template["spec"] | {"restartPolicy": "Always"},
            "status": {"phase": "Pending", "startTime": now()},
        }
        self._store.create(POD, body)

    def _delete(self, pod: Object) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            delete_pod(self._store, pod["metadata"]["namespace"], pod["metadata"]["name"])


def _owner(pod: Object) -> str | None:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner["kind"] == DEPLOYMENT.name), None)


def _is_ready(pod: Object) -> bool:
    containers = pod["status"].get("containerStatuses") or ()
    return bool(containers) and all(container["ready"] for container in containers)
