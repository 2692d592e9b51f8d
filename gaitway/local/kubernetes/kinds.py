"""The kinds of objects that the stand-in knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of object."""

    version: str
    """With its group: `v1`, `kubeflow.org/v1`."""
    plural: str
    name: str
    model: str | None
    """Its generated model; None: nobody publishes one, so that these objects can be read only."""
    is_namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Its group; empty for the core group."""
        return self.version.rpartition("/")[0]

    @property
    def is_built_in(self) -> bool:
        """Whether it is Kubernetes' own, and no custom resource."""
        return self.group in ("", "apps") or (self.group.endswith(".k8s.io") and not self.group.startswith("kueue."))

    @property
    def resource(self) -> str:
        """Name of its resource in messages: `pytorchjobs.kubeflow.org`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


PYTORCH_JOB = Kind("kubeflow.org/v1", "pytorchjobs", "PyTorchJob", "KubeflowOrgV1PyTorchJob", subresources=("status",))
POD = Kind("v1", "pods", "Pod", "V1Pod", subresources=("log", "status"))
NODE = Kind("v1", "nodes", "Node", None, is_namespaced=False)
NAMESPACE = Kind("v1", "namespaces", "Namespace", "V1Namespace", is_namespaced=False)
SERVICE_ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount", "V1ServiceAccount")
CLAIM = Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "V1PersistentVolumeClaim")
VOLUME = Kind("v1", "persistentvolumes", "PersistentVolume", "V1PersistentVolume", is_namespaced=False)
ROLE = Kind("rbac.authorization.k8s.io/v1", "roles", "Role", "V1Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "V1RoleBinding")
DEPLOYMENT = Kind("apps/v1", "deployments", "Deployment", "V1Deployment", subresources=("status",))
LOCAL_QUEUE = Kind("kueue.x-k8s.io/v1beta1", "localqueues", "LocalQueue", None)
PRIORITY_CLASS = Kind(
    "kueue.x-k8s.io/v1beta1", "workloadpriorityclasses", "WorkloadPriorityClass", None, is_namespaced=False
)

KINDS = (
    *(PYTORCH_JOB, DEPLOYMENT, POD, NODE, NAMESPACE, SERVICE_ACCOUNT, CLAIM, VOLUME),
    *(ROLE, ROLE_BINDING, LOCAL_QUEUE, PRIORITY_CLASS),
)
