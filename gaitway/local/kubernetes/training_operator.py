"""The Training Operator's part: pods for a job's replicas, and the job's conditions in the operator's words.

After github.com/kubeflow/training-operator, release 1.9: pkg/controller.v1/common/{job,pod}.go, pkg/core/job.go,
pkg/util/status.go, pkg/controller.v1/pytorch/{pytorchjob_controller,envvar,master}.go.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from gaitway.local.kubernetes.kinds import POD, PYTORCH_JOB
from gaitway.local.kubernetes.store import ApiError, Object, Store, now

JOB_LABEL = "training.kubeflow.org/job-name"
TYPE_LABEL = "training.kubeflow.org/replica-type"
INDEX_LABEL = "training.kubeflow.org/replica-index"
_TYPES = ("Master", "Worker")
_RESTARTED = ("OnFailure", "Always")


def is_finished(job: Object) -> bool:
    """Return whether a job has succeeded or failed."""
    return any(is_true(job, kind) for kind in ("Succeeded", "Failed"))


def is_true(job: Object, kind: str) -> bool:
    """Return whether a job has a condition."""
    return any(one["type"] == kind and one["status"] == "True" for one in _conditions(job))


class TrainingOperator:
    """Makes and ends the pods of jobs.

    Args:
        store: The objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def reconcile(self) -> None:
        """Bring every job one step on."""
        for job in self._store.all(PYTORCH_JOB):
            if job["metadata"].get("deletionTimestamp"):
                continue
            before = copy.deepcopy(job.get("status"))
            self._reconcile(job)
            if job.get("status") != before:
                self._write(job)
        self._collect()

    def _reconcile(self, job: Object) -> None:
        name, policy, status = job["metadata"]["name"], job["spec"]["runPolicy"], job.setdefault("status", {})
        if not _conditions(job):
            _set_condition(job, "Created", f"PyTorchJob {name} is created.")
        pods = self._pods(job)
        if is_finished(job):
            clean = policy.get("cleanPodPolicy", "None")
            for pod in pods:
                if clean == "All" or (clean == "Running" and pod["status"].get("phase") in ("Running", "Pending")):
                    self._delete(pod)
            return
        if policy.get("suspend"):
            for pod in pods:
                self._delete(pod)
            message = f"PyTorchJob {name} is suspended."
            if is_true(job, "Running"):
                _set_condition(job, "Running", message, "Suspended", value="False")
            if not is_true(job, "Suspended"):
                _set_condition(job, "Suspended", message)
            return
        if is_true(job, "Suspended"):
            _set_condition(job, "Suspended", f"PyTorchJob {name} is resumed.", "Resumed", value="False")
            status["startTime"] = now()
        if failure := self._exceeded(job, pods):
            status["completionTime"] = now()
            for pod in pods:
                self._delete(pod)
            _set_condition(job, "Failed", failure)
            return
        self._reconcile_pods(job, pods)

    def _exceeded(self, job: Object, pods: list[Object]) -> str | None:
        """Return why the job has failed as a whole."""
        name, policy, start = job["metadata"]["name"], job["spec"]["runPolicy"], job["status"].get("startTime")
        limit = policy.get("backoffLimit")
        restarts = sum(
            container["restartCount"]
            for pod in pods
            if pod["status"].get("phase") == "Running"
            for container in pod["status"].get("containerStatuses", ())
        )
        if limit is not None and (restarts > 0 if limit == 0 else restarts >= limit):
            return f"Job {name} has failed because it has reached the specified backoff limit"
        seconds = policy.get("activeDeadlineSeconds")
        if seconds is not None and start is not None and _seconds_since(start) >= seconds:
            return f"Job {name} has failed because it was active longer than specified deadline"
        return None

    def _reconcile_pods(self, job: Object, pods: list[Object]) -> None:
        name, status = job["metadata"]["name"], job["status"]
        status.setdefault("startTime", now())
        counts: dict[str, dict[str, int]] = {}
        total = sum(spec.get("replicas", 1) for _, spec in _replicas(job))
        for kind, spec in _replicas(job):
            mine = {pod["metadata"]["labels"][INDEX_LABEL]: pod for pod in pods if _type(pod) == kind.lower()}
            count = {"active": 0, "succeeded": 0, "failed": 0}
            for index in range(spec.get("replicas", 1)):
                pod = mine.get(str(index))
                if pod is None:
                    self._create(job, kind, index, spec, total)
                    continue
                phase = pod["status"].get("phase", "Pending")
                if phase == "Failed" and spec["restartPolicy"] in _RESTARTED:
                    self._delete(pod)
                    _set_condition(job, "Restarting", f"job {name} is restarting because {kind} replica(s) failed.")
                count["active"] += phase == "Running"
                count["succeeded"] += phase == "Succeeded"
                count["failed"] += phase == "Failed"
            counts[kind] = count
        status["replicaStatuses"] = counts
        self._conclude(job, counts)

    def _conclude(self, job: Object, counts: dict[str, dict[str, int]]) -> None:
        """The master decides: when it has succeeded, the job has."""
        name, master = job["metadata"]["name"], counts.get("Master") or counts["Worker"]
        if master["active"] > 0:
            _set_condition(job, "Running", f"PyTorchJob {name} is running.")
        if master["succeeded"] == 1:
            job["status"]["completionTime"] = now()
            _set_condition(job, "Succeeded", f"PyTorchJob {name} is successfully completed.")
            return
        for kind, count in counts.items():
            if count["failed"] and dict(_replicas(job))[kind]["restartPolicy"] not in _RESTARTED:
                job["status"]["completionTime"] = now()
                _set_condition(
                    job, "Failed", f"PyTorchJob {name} is failed because {count['failed']} {kind} replica(s) failed."
                )

    def _create(self, job: Object, kind: str, index: int, spec: dict[str, Any], total: int) -> None:
        metadata = job["metadata"]
        template = copy.deepcopy(spec["template"])
        pod_spec = template["spec"] | {"restartPolicy": spec["restartPolicy"]}
        for container in pod_spec["containers"]:
            container["env"] = [*(container.get("env") or ()), *_variables(job, kind, index, total)]
        labels = dict((template.get("metadata") or {}).get("labels") or {})
        labels |= {JOB_LABEL: metadata["name"], TYPE_LABEL: kind.lower(), INDEX_LABEL: str(index)}
        if kind == "Master":
            labels["training.kubeflow.org/job-role"] = "master"
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{kind.lower()}-{index}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [
                    {
                        "apiVersion": PYTORCH_JOB.version,
                        "kind": PYTORCH_JOB.name,
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": pod_spec,
            "status": {"phase": "Pending"},
        }
        # A pod of the same name may still be ending: the next change tries again.
        if self._store.find(POD, metadata["namespace"], f"{metadata['name']}-{kind.lower()}-{index}") is None:
            self._store.create(POD, body)

    def _pods(self, job: Object) -> list[Object]:
        uid = job["metadata"]["uid"]
        return [pod for pod in self._store.all(POD, job["metadata"]["namespace"]) if _owner(pod) == uid]

    def _collect(self) -> None:
        """Delete the pods of jobs that are gone, or that wait for it to be removed, as the garbage collector does."""
        jobs = self._store.all(PYTORCH_JOB)
        living = {job["metadata"]["uid"] for job in jobs if not job["metadata"].get("deletionTimestamp")}
        owners = {_owner(pod) for pod in self._store.all(POD)}
        for pod in self._store.all(POD):
            if _owner(pod) is not None and _owner(pod) not in living:
                self._delete(pod)
        for job in jobs:
            metadata = job["metadata"]
            if metadata.get("deletionTimestamp") and metadata["uid"] not in owners:
                self._store.delete(PYTORCH_JOB, metadata["namespace"], metadata["name"])

    def _delete(self, pod: Object) -> None:
        delete_pod(self._store, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _write(self, job: Object) -> None:
        def edit(body: Object) -> None:
            body["status"] = job["status"]

        try:
            self._store.change(PYTORCH_JOB, job["metadata"]["namespace"], job["metadata"]["name"], edit)
        except ApiError as error:
            if error.reason != "NotFound":
                raise


def delete_pod(store: Store, namespace: str, name: str, grace_seconds: int | None = None) -> Object:
    """Ask the kubelet to end a pod: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination.

    Args:
        store: The objects.
        namespace: Its namespace.
        name: Its name.
        grace_seconds: Between SIGTERM and SIGKILL; the pod's own where None.
    """

    def edit(body: Object) -> None:
        metadata = body["metadata"]
        grace = grace_seconds if grace_seconds is not None else body["spec"].get("terminationGracePeriodSeconds", 30)
        # It can only become shorter.
        metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
        metadata.setdefault("deletionTimestamp", now())

    return store.change(POD, namespace, name, edit)


def _variables(job: Object, kind: str, index: int, total: int) -> list[dict[str, str]]:
    """Return what the operator adds to a container's environment.

    The number of processes is `auto` where a job names none: pkg/apis/kubeflow.org/v1/pytorch_defaults.go.
    """
    name = job["metadata"]["name"]
    containers = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    ports = [port for one in containers for port in one.get("ports") or () if port.get("name") == "pytorchjob-port"]
    address, port = f"{name}-master-0", str(ports[0]["containerPort"] if ports else 23456)
    rank = str(index + (kind == "Worker"))
    values = {
        "PYTHONUNBUFFERED": "1",
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "PET_MASTER_ADDR": address,
        "PET_MASTER_PORT": port,
        "PET_NNODES": str(total),
        "PET_NODE_RANK": rank,
        "PET_NPROC_PER_NODE": str(job["spec"].get("nprocPerNode", "auto")),
        "WORLD_SIZE": str(total),
        "RANK": rank,
    }
    return [{"name": key, "value": value} for key, value in values.items()]


def _replicas(job: Object) -> list[tuple[str, dict[str, Any]]]:
    specs = job["spec"]["pytorchReplicaSpecs"]
    return [(kind, specs[kind]) for kind in _TYPES if kind in specs]


def _type(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(TYPE_LABEL))


def _owner(pod: Object) -> str | None:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner["kind"] == PYTORCH_JOB.name), None)


def _conditions(job: Object) -> list[dict[str, str]]:
    conditions: list[dict[str, str]] = job.get("status", {}).get("conditions") or []
    return conditions


def _set_condition(job: Object, kind: str, message: str, reason: str | None = None, *, value: str = "True") -> None:
    """Set a condition as `setCondition` does: Running and Restarting replace each other, and an end ends Running."""
    if is_true(job, "Failed"):
        return
    reason = f"PyTorchJob{reason or kind}"
    old = next((one for one in _conditions(job) if one["type"] == kind), None)
    if old is not None and (old["status"], old["reason"]) == (value, reason):
        return
    kept = []
    for one in _conditions(job):
        if one["type"] == kind or {one["type"], kind} == {"Running", "Restarting"}:
            continue
        if kind in ("Failed", "Succeeded") and one["type"] == "Running":
            one["status"] = "False"
        kept.append(one)
    changed = {"type": kind, "status": value, "reason": reason, "message": message}
    changed |= {"lastUpdateTime": now(), "lastTransitionTime": now()}
    if old is not None and old["status"] == value:
        changed["lastTransitionTime"] = old["lastTransitionTime"]
    job["status"]["conditions"] = [*kept, changed]


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
