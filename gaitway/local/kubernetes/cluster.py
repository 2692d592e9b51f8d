"""The stand-in as a whole."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import ssl
import threading
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from gaitway.compute.eks.api import KubernetesApi
from gaitway.local.kubernetes.access import Access
from gaitway.local.kubernetes.api import ApiServer
from gaitway.local.kubernetes.certificates import make_certificate
from gaitway.local.kubernetes.deployments import Deployments
from gaitway.local.kubernetes.identity import IdentityAgent
from gaitway.local.kubernetes.kinds import KINDS, LOCAL_QUEUE, NAMESPACE, PRIORITY_CLASS, SERVICE_ACCOUNT
from gaitway.local.kubernetes.kubelet import Addresses, Kubelet
from gaitway.local.kubernetes.kueue import Kueue
from gaitway.local.kubernetes.nodes import Nodes
from gaitway.local.kubernetes.pods import Surroundings
from gaitway.local.kubernetes.quantities import amount
from gaitway.local.kubernetes.store import Store
from gaitway.local.kubernetes.training_operator import TrainingOperator

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
"""Deadlines pass without a change of any object."""
_POLL_SECONDS = 0.05
"""How often a server looks whether it shall end."""
HEALTHY = {"sagemaker.amazonaws.com/node-health-status": "Schedulable"}


class Cluster:
    """A cluster with one team.

    Args:
        surroundings: What is around it.
        team: Name of the team in HyperPod's task governance.
        instance_type: Of the nodes.
        nodes: How many there are.
        allocatable: What each node has, as quantities.
        quota: Of the team, as quantities; all that the nodes have where None.
        priorities: Values of the policy's priority classes, by name.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        team: str,
        instance_type: str,
        nodes: int,
        allocatable: Mapping[str, str],
        quota: Mapping[str, str] | None = None,
        priorities: Mapping[str, int] | None = None,
    ) -> None:
        self.store = Store()
        self.access = Access(self.store)
        self.namespace = f"hyperpod-ns-{team}"
        self.certificate, key = make_certificate(surroundings.directory / "certificate")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, key)
        self._server = ApiServer(self.store, self.access, tls)
        self._identity = IdentityAgent(self.access, surroundings)
        self._token = self.access.admin_token()
        self._admin = surroundings.directory / "admin"
        self._write(self._admin, self._token)
        self.kubelet = self._server.kubelet = Kubelet(
            self.store, self.access, surroundings, Addresses(self.url, self.certificate, self._identity.url)
        )
        of_team = {name: amount(q) for name, q in quota.items()} if quota is not None else None
        of_nodes = {name: amount(q) * nodes for name, q in allocatable.items()}
        labels = {"node.kubernetes.io/instance-type": instance_type} | HEALTHY
        all_nodes = Nodes(self.store, nodes, labels, allocatable)
        all_nodes.reconcile()
        self._controllers = (
            all_nodes,
            Kueue(self.store, of_team if of_team is not None else of_nodes),
            TrainingOperator(self.store),
            Deployments(self.store),
            self.kubelet,
        )
        self._closing = threading.Event()
        self._fill(team, priorities or {})
        self._threads = (
            _serving(self._server, "kubernetes-api"),
            _serving(self._identity, "kubernetes-identity"),
            threading.Thread(target=self._control, name="kubernetes-controllers", daemon=True),
        )

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._server.url

    @property
    def kubeconfig(self) -> str:
        """What `kubectl --kubeconfig` needs, as an administrator; JSON is YAML."""
        name = "gaitway-stand-in"
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": self.url, "certificate-authority-data": authority}}],
                "users": [{"name": name, "user": {"token": self._token}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": self.namespace}}],
                "current-context": name,
            },
            indent=2,
        )

    @property
    def identity_url(self) -> str:
        """Address of the agent of pod identity."""
        return self._identity.url

    def create(self, *manifests: Mapping[str, Any]) -> None:
        """Create objects through the API, as an administrator.

        Raises:
            KubernetesError: One is refused.
        """
        api = KubernetesApi(self.url, self._admin)
        for manifest in manifests:
            names = (manifest["apiVersion"], manifest["kind"])
            kind = next(kind for kind in KINDS if (kind.version, kind.name) == names)
            version = f"/apis/{kind.version}" if kind.group else f"/api/{kind.version}"
            namespace = f"/namespaces/{manifest['metadata']['namespace']}" if kind.is_namespaced else ""
            api.call("POST", f"{version}{namespace}/{kind.plural}", manifest)

    def write_account(self, directory: Path, account: str) -> None:
        """Write a service account's token, as a pod finds it, for a process outside of the cluster."""
        self._write(directory, self.access.account_token(self.namespace, account))

    def _write(self, directory: Path, token: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "token").write_text(token)
        shutil.copy(self.certificate, directory / "ca.crt")

    def start(self) -> Self:
        """Serve, and control."""
        for thread in self._threads:
            thread.start()
        return self

    def close(self) -> None:
        """End every pod and the server."""
        self._closing.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self._threads[-1].join()
        self.kubelet.close()
        for server in (self._server, self._identity):
            server.shutdown()
            server.server_close()

    def _control(self) -> None:
        while not self._closing.is_set():
            with self.store.changed:
                version = self.store.version
                for controller in self._controllers:
                    try:
                        controller.reconcile()
                    except Exception:
                        # One object that it cannot handle must not stop all others; the next change tries again.
                        logger.exception("the stand-in's %s failed", type(controller).__name__)
                if self.store.version == version:
                    self.store.changed.wait(_TICK_SECONDS)

    def _fill(self, team: str, priorities: Mapping[str, int]) -> None:
        """Make what HyperPod and its task governance bring along."""
        self.store.create(NAMESPACE, {"metadata": {"name": self.namespace}})
        self.store.create(SERVICE_ACCOUNT, {"metadata": {"name": "default", "namespace": self.namespace}})
        queue = {"metadata": {"name": f"{self.namespace}-localqueue", "namespace": self.namespace}}
        self.store.create(LOCAL_QUEUE, queue | {"spec": {"clusterQueue": f"hyperpod-ns-{team}-clusterqueue"}})
        for name, value in priorities.items():
            self.store.create(PRIORITY_CLASS, {"metadata": {"name": name}, "value": value})


def _serving(server: ThreadingHTTPServer, name: str) -> threading.Thread:
    return threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name=name, daemon=True)
