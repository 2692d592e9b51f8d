"""The scheduler's and the kubelet's part: pods get a node, and what they mount."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from gaitway.local.kubernetes.access import Access
from gaitway.local.kubernetes.kinds import CLAIM, NODE, POD, SERVICE_ACCOUNT, VOLUME
from gaitway.local.kubernetes.pods import POD_MARKER, ContainerImage, RunningPod, Surroundings
from gaitway.local.kubernetes.quantities import added, amount, fits, requests
from gaitway.local.kubernetes.store import ApiError, Object, Store
from gaitway.local.kubernetes.training_operator import JOB_LABEL
from gaitway.local.mounts import rewrite
from gaitway.local.runtime import HOST

_TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where the kubelet mounts it
_IDENTITY_DIRECTORY = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
_IDENTITY_TOKEN = "eks-pod-identity-token"  # noqa: S105 - its file's name
_API = "https://kubernetes.default.svc"
_PORTS = ("MASTER_PORT", "PET_MASTER_PORT")


@dataclass(frozen=True)
class Addresses:
    """Where pods find the cluster's services."""

    api: str
    certificate: Path
    """File with the API's certificate."""
    credentials: str


class Kubelet:
    """All nodes.

    Args:
        store: The objects.
        access: Gives out the pods' tokens.
        surroundings: What is around the cluster.
        addresses: What pods are told.
    """

    def __init__(self, store: Store, access: Access, surroundings: Surroundings, addresses: Addresses) -> None:
        self._store = store
        self._access = access
        self._surroundings = surroundings
        self._addresses = addresses
        self._running: dict[str, RunningPod] = {}
        self._ports: dict[str, str] = {}

    def reconcile(self) -> None:
        """Start the pods that have room, and end those that are deleted."""
        self._running = {uid: pod for uid, pod in self._running.items() if not pod.is_gone}
        for body in self._store.all(POD):
            uid = body["metadata"]["uid"]
            pod = self._running.get(uid)
            if body["metadata"].get("deletionTimestamp"):
                if pod is not None:
                    pod.stop(body["metadata"]["deletionGracePeriodSeconds"])
                else:
                    self._store.delete(POD, body["metadata"]["namespace"], body["metadata"]["name"])
            elif pod is None and body["status"].get("phase", "Pending") == "Pending":
                self._start(body)

    def log(self, body: Object, *, previous: bool) -> Path:
        """Return the log of a pod's container.

        Raises:
            ApiError: There is none yet.
        """
        pod = self._running.get(body["metadata"]["uid"])
        path = pod.log_path(previous=previous) if pod is not None else None
        if path is None or not path.exists():
            which = "previous terminated container" if previous else "container"
            message = f'{which} in pod "{body["metadata"]["name"]}" is waiting to start'
            raise ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)
        return path

    def is_running(self, body: Object) -> bool:
        """Return whether a pod's container runs, or will be restarted."""
        pod = self._running.get(body["metadata"]["uid"])
        return pod is not None and not pod.has_ended

    def process_id(self, namespace: str, name: str) -> int | None:
        """Return the id of a pod's first process, for a test that harms it."""
        body = self._store.find(POD, namespace, name)
        pod = self._running.get(body["metadata"]["uid"]) if body else None
        return pod.process_id if pod else None

    def close(self) -> None:
        """End every pod at once."""
        for pod in self._running.values():
            pod.stop(0)
        for pod in self._running.values():
            pod.join()

    def _start(self, body: Object) -> None:
        node, message = self._place(body)
        if node is not None:
            directories, message = self._mounts(body)
        if node is None or message:
            self._say(body, "PodScheduled" if node is None else "PodReadyToStartContainers", message)
            return
        pod = RunningPod(self._store, body, node, self._environment, self._surroundings, directories)
        self._running[body["metadata"]["uid"]] = pod
        pod.start()

    def _place(self, body: Object) -> tuple[str | None, str]:
        """Choose a node: its name, or why there is none."""
        spec, nodes = body["spec"], self._store.all(NODE)
        wanted = (spec.get("nodeSelector") or {}).items()
        fitting = [node for node in nodes if wanted <= node["metadata"]["labels"].items()]
        for node in fitting:
            name = node["metadata"]["name"]
            used = added(
                requests(one["spec"])
                for one in self._store.all(POD)
                if one["spec"].get("nodeName") == name and one["status"].get("phase") in ("Pending", "Running")
            )
            free = {what: amount(n) - used.get(what, 0) for what, n in node["status"]["allocatable"].items()}
            if fits(requests(spec), free):
                return name, ""
        others = len(nodes) - len(fitting)
        return None, (
            f"0/{len(nodes)} nodes are available: {others} node(s) didn't match Pod's node affinity/selector, "
            f"{len(fitting)} Insufficient resources."
        )

    def _mounts(self, body: Object) -> tuple[dict[str, Path | str], str]:
        """Return the directories of the mount points, or what is missing."""
        metadata, spec = body["metadata"], body["spec"]
        own = self._surroundings.directory / metadata["uid"]
        directories: dict[str, Path | str] = {}
        account = spec.get("serviceAccountName", "default")
        if self._store.find(SERVICE_ACCOUNT, metadata["namespace"], account) is None:
            return {}, f"error looking up service account {metadata['namespace']}/{account}: not found"
        volumes: dict[str, Path] = {}
        for volume in spec.get("volumes") or ():
            if "emptyDir" in volume:
                volumes[volume["name"]] = own / "volumes" / volume["name"]
            elif "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                handle = self._handle(metadata["namespace"], claim)
                if handle is None:
                    return {}, f'persistentvolumeclaim "{claim}" not found, or not bound'
                volumes[volume["name"]] = self._surroundings.file_system(handle)
            else:
                return {}, f"the stand-in has no volumes of the type {', '.join(volume.keys() - {'name'})}"
        for mount in spec["containers"][0].get("volumeMounts") or ():
            if mount["name"] not in volumes:
                return {}, f'volume "{mount["name"]}" not found'
            directories[mount["mountPath"].rstrip("/")] = volumes[mount["name"]]
        if spec.get("automountServiceAccountToken", True):
            directories[_TOKEN_DIRECTORY] = own / "account"
        directories[_IDENTITY_DIRECTORY] = own / "identity"
        for directory in directories.values():
            Path(directory).mkdir(parents=True, exist_ok=True)
        directories[_API] = self._addresses.api
        return dict(sorted(directories.items(), key=lambda item: -len(item[0]))), ""

    def _handle(self, namespace: str, claim: str) -> str | None:
        """Return the volume that a claim is bound to: each has to name the other one."""
        found = self._store.find(CLAIM, namespace, claim)
        volume = self._store.find(VOLUME, None, found["spec"].get("volumeName", "")) if found else None
        if found is None or volume is None:
            return None
        reference = volume["spec"].get("claimRef") or {}
        asked, offered = (one["spec"] for one in (found, volume))
        if (reference.get("namespace"), reference.get("name")) != (namespace, claim):
            return None
        if not set(asked["accessModes"]) <= set(offered["accessModes"]):
            return None
        if asked.get("storageClassName", "") != offered.get("storageClassName", ""):
            return None
        if amount(asked["resources"]["requests"]["storage"]) > amount(offered["capacity"]["storage"]):
            return None
        csi = offered.get("csi") or {}
        return csi.get("volumeHandle") if csi.get("driver") == "efs.csi.aws.com" else None

    def _environment(
        self, body: Object, image: ContainerImage, directories: Mapping[str, Path | str]
    ) -> dict[str, str]:
        """Build the environment of a pod's container, with fresh tokens."""
        metadata, spec = body["metadata"], body["spec"]
        namespace, account = metadata["namespace"], spec.get("serviceAccountName", "default")
        values = {one["name"]: _value(one, body) for one in spec["containers"][0].get("env") or ()}
        token = self._access.account_token(namespace, account)
        if _TOKEN_DIRECTORY in directories:
            _secret(Path(directories[_TOKEN_DIRECTORY]) / "token", token)
            shutil.copy(self._addresses.certificate, Path(directories[_TOKEN_DIRECTORY]) / "ca.crt")
        identity = {}
        if self._surroundings.credentials(namespace, account) is not None:
            # docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
            _secret(Path(directories[_IDENTITY_DIRECTORY]) / _IDENTITY_TOKEN, token)
            identity = {
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{_IDENTITY_DIRECTORY}/{_IDENTITY_TOKEN}",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": self._addresses.credentials,
            }
        # All pods share one network here: a service has this machine's address, and a job a port of its own.
        job = metadata["labels"].get(JOB_LABEL, "")
        for name, value in values.items():
            if value == f"{job}-master-0":
                values[name] = HOST
        if job:
            port = self._ports.setdefault(job, _free_port())
            values |= {name: port for name in _PORTS if name in values}
        environment = {
            "HOME": str(self._surroundings.directory / metadata["uid"]),
            "HOSTNAME": metadata["name"],
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "GAITWAY_METRICS_ADDRESS": HOST,
            "KUBERNETES_SERVICE_HOST": HOST,
            "KUBERNETES_SERVICE_PORT": self._addresses.api.rpartition(":")[2],
            **image.environment,
            **identity,
            **values,
            **self._surroundings.variables,
            POD_MARKER: metadata["uid"],
        }
        return {name: rewrite(value, directories) for name, value in environment.items()}

    def _say(self, body: Object, condition: str, message: str) -> None:
        def edit(pod: Object) -> None:
            pod["status"] = {
                "phase": "Pending",
                "conditions": [{"type": condition, "status": "False", "reason": "Unschedulable", "message": message}],
            }

        self._store.change(POD, body["metadata"]["namespace"], body["metadata"]["name"], edit)


def _value(variable: Mapping[str, Any], body: Object) -> str:
    path = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
    if path is None:
        return str(variable.get("value", ""))
    fields = {f"metadata.{name}": body["metadata"][name] for name in ("name", "namespace", "uid")}
    return str(fields[path])


def _secret(path: Path, text: str) -> None:
    """Write a token for the owner alone, as the kubelet does where all containers have one user."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return str(listener.getsockname()[1])
