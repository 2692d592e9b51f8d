"""The manifest of the cluster's agent: what keeps one process of it running."""

from __future__ import annotations

from gaitway.compute.eks.manifests import (
    API,
    BACKEND,
    DEPLOYMENT_LABEL,
    MOUNT_PATH,
    POD_DIRECTORY,
    SERVICE_ACCOUNT_DIRECTORY,
    Eks,
    Manifest,
)
from gaitway.libraries.simulators import SIMULATORS

ALIVE, READY = "alive", "ready"
"""Files in the pod's directory: touched after each step of the agent, and after each round without a failure."""
_USER = 1000
"""That of the file system's access point, which owns what the agent reads and writes there:
stacks/components/file_system.py."""


def agent_manifest(eks: Eks) -> Manifest:
    """Return the Deployment of the agent: once for a deployment of Gaitway.

    It runs in the image of a simulator, which holds this package anyway and is on the nodes that run jobs.

    Raises:
        ValueError: The configuration names no image.
    """
    name = eks.names.agent_account
    labels = {"app.kubernetes.io/name": "gaitway-agent", DEPLOYMENT_LABEL: eks.config.deployment}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": eks.cluster.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            # The old one has ended before the new one begins: two would report every state twice.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod(name, eks)},
        },
    }


def _pod(name: str, eks: Eks) -> Manifest:
    return {
        "serviceAccountName": name,
        "enableServiceLinks": False,
        # The container's only user, so that the kubelet gives it the tokens: see the pods of runs.
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Where jobs run: there its image is already. HyperPod's own label: not a node that is being replaced.
        "nodeSelector": {"sagemaker.amazonaws.com/node-health-status": "Schedulable"},
        "containers": [_container(eks)],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": eks.names.volume_claim}},
            {"name": "pod", "emptyDir": {"sizeLimit": "1Mi"}},
        ],
    }


def _container(eks: Eks) -> Manifest:
    regions = {name: eks.config.job_environment.get(name) for name in ("AWS_DEFAULT_REGION", "AWS_REGION")}
    variables = {name: value for name, value in regions.items() if value} | {
        "GAITWAY_EFS_ROOT": MOUNT_PATH,
        "GAITWAY_KUBERNETES_API": API,
        "GAITWAY_POD_DIRECTORY": POD_DIRECTORY,
        "GAITWAY_SERVICE_ACCOUNT": SERVICE_ACCOUNT_DIRECTORY,
        # Nothing can be written beside the sources.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # A GPU is not among them: it needs none.
    needs = {"cpu": "100m", "memory": "512Mi"}
    return {
        "name": "agent",
        "image": _image(eks),
        # Of container/entrypoint.sh, the image's entry point.
        "args": ["agent", "--scheduler", "kubernetes", "--parameter", eks.names.agent_parameter(BACKEND)],
        "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "resources": {"limits": {"memory": needs["memory"]}, "requests": needs},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "runs", "mountPath": MOUNT_PATH},
            {"name": "pod", "mountPath": POD_DIRECTORY},
        ],
        # What it does meanwhile waits some minutes at most: each of its calls has a limit in time.
        "livenessProbe": _probe(ALIVE, minutes=5) | {"initialDelaySeconds": 60},
        # AWS and the cluster's API answer, and its roles are enough. Only `kubectl rollout status` asks.
        "readinessProbe": _probe(READY, minutes=2),
    }


def _probe(file: str, minutes: int) -> Manifest:
    """Succeed as long as a file was touched in the last minutes."""
    script = f'test -n "$(find "$1" -mmin -{minutes})"'
    return {
        "exec": {"command": ["/bin/sh", "-c", script, "probe", f"{POD_DIRECTORY}/{file}"]},
        "periodSeconds": 10,
        "timeoutSeconds": 10,
    }


def _image(eks: Eks) -> str:
    """Choose an image: the first of the simulators that is deployed, the smallest."""
    images = eks.config.images
    found = next((images[simulator] for simulator in SIMULATORS if simulator in images), eks.config.image)
    if found is None:
        raise ValueError("the agent's configuration names no image")
    return found
