"""Kueue's part: jobs of a queue wait, suspended, until the quota of their team has room for all of their pods.

As Kueue does by default (BestEffortFIFO), a job that does not fit holds up none behind it; a class with a higher value
comes first: kueue.sigs.k8s.io/docs/concepts/cluster_queue. A job of a lower class gives its machines up, as HyperPod's
policy asks for within a team: kueue.sigs.k8s.io/docs/concepts/preemption.
"""

from __future__ import annotations

from typing import Any

from gaitway.local.kubernetes.kinds import LOCAL_QUEUE, PRIORITY_CLASS, PYTORCH_JOB
from gaitway.local.kubernetes.quantities import added, fits, requests
from gaitway.local.kubernetes.store import Object, Store
from gaitway.local.kubernetes.training_operator import is_finished

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"


def suspended(job: Object) -> None:
    """Suspend a new job of a queue, as Kueue's webhook does: kueue.sigs.k8s.io/docs/concepts/workload."""
    if QUEUE_LABEL in (job["metadata"].get("labels") or {}):
        job["spec"]["runPolicy"]["suspend"] = True


class Kueue:
    """Admits jobs.

    Args:
        store: The objects.
        quota: Of the team, by resource. A job that requests anything else is never admitted.
    """

    def __init__(self, store: Store, quota: dict[str, float]) -> None:
        self._store = store
        self._quota = quota

    def reconcile(self) -> None:
        """Admit what fits, and suspend again what has to give way."""
        queued = [job for job in self._store.all(PYTORCH_JOB) if self._is_managed(job) and not is_finished(job)]
        admitted = [job for job in queued if not _is_suspended(job)]
        waiting = sorted((job for job in queued if _is_suspended(job)), key=self._order)
        for job in waiting:
            need = _needs(job)
            victims = sorted(
                (one for one in admitted if self._priority(one) < self._priority(job)), key=self._order, reverse=True
            )
            given_up: list[Object] = []
            while not self._has_room(admitted, need) and victims:
                victim = victims.pop(0)
                given_up.append(victim)
                admitted.remove(victim)
            if self._has_room(admitted, need):
                for victim in given_up:
                    self._suspend(victim, is_suspended=True)
                self._suspend(job, is_suspended=False)
                admitted.append(job)
            else:
                admitted += given_up

    def _has_room(self, admitted: list[Object], need: dict[str, float]) -> bool:
        used = added(map(_needs, admitted))
        return fits(need, {name: count - used.get(name, 0) for name, count in self._quota.items()})

    def _is_managed(self, job: Object) -> bool:
        metadata = job["metadata"]
        queue = (metadata.get("labels") or {}).get(QUEUE_LABEL)
        return queue is not None and self._store.find(LOCAL_QUEUE, metadata["namespace"], queue) is not None

    def _order(self, job: Object) -> tuple[float, int]:
        return -self._priority(job), int(job["metadata"]["resourceVersion"])

    def _priority(self, job: Object) -> float:
        name = job["metadata"]["labels"].get(PRIORITY_LABEL)
        found = self._store.find(PRIORITY_CLASS, None, name) if name else None
        return float(found["value"]) if found else 0.0

    def _suspend(self, job: Object, *, is_suspended: bool) -> None:
        def edit(body: Object) -> None:
            body["spec"]["runPolicy"]["suspend"] = is_suspended

        self._store.change(PYTORCH_JOB, job["metadata"]["namespace"], job["metadata"]["name"], edit)


def _is_suspended(job: Object) -> bool:
    return bool(job["spec"]["runPolicy"].get("suspend"))


def _needs(job: Object) -> dict[str, float]:
    replicas: dict[str, Any] = job["spec"]["pytorchReplicaSpecs"]
    return added(requests(one["template"]["spec"], one.get("replicas", 1)) for one in replicas.values())
