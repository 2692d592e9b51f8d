"""The manifests of a run: pure functions, for the agent that submits them and for people who submit them by hand.

HyperPod installs version 1 of Kubeflow's Training Operator, whose PyTorchJob these are:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-install-packages-using-helm-chart.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from gaitway.compute.cluster_image import image_of
from gaitway.contracts.cluster import AgentConfig, NodeSize, SubmitOrder, node_logs_name
from gaitway.contracts.eks import EksSettings
from gaitway.contracts.errors import RequestError
from gaitway.names import Names

Manifest = dict[str, Any]
"""A document of the Kubernetes API, in its own shape; tests validate each with the API's generated models."""

GROUP, VERSION, PLURAL = "kubeflow.org", "v1", "pytorchjobs"
BACKEND = "hyperpod-eks"
MOUNT_PATH = "/mnt/gaitway"
POD_DIRECTORY = "/var/lib/gaitway"
"""Lives as long as the pod: its containers, one after another, count their attempts in it."""
API = "https://kubernetes.default.svc"
SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds its token and the API's certificate:
kubernetes.io/docs/tasks/run-application/access-api-from-pod"""
RUN_LABEL, DEPLOYMENT_LABEL = "gaitway/run", "gaitway/deployment"
"""Of jobs and pods of ours: deployments may share a namespace."""
NODE_LOGS = "GAITWAY_NODE_LOGS"
"""The variable with the directory in which each node keeps a copy of what it says."""
STOP_SECONDS = 120
"""Between SIGTERM and SIGKILL: the run saves what it has."""
NODE_PORT = 29_400
METRICS_PORT, METRICS_PORT_NAME = 29_401, "metrics"
"""Where a pod offers its metrics. Prometheus finds it by the name, as stacks/prometheus/scraping.py has it, or by the
annotations that many clusters look for."""
_SIMULATOR_NEEDS = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]
"""The runner is root, gives files to the simulator's user, becomes it for the simulator, and ends its processes:
gaitway/runner/host/simulator_user.py."""
_GPU_PARTS = 7
"""Into which a GPU can be divided; a profile begins with how many it has:
docs.nvidia.com/datacenter/tesla/mig-user-guide/latest/supported-mig-profiles.html"""
_SHARED_MEMORY = 4
"""A part of the memory, as in `stacks/components/simulation_job.py`: NCCL and data loaders exchange tensors there."""


def jobs_path(namespace: str) -> str:
    """Return the path of a namespace's jobs in the API."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"


def job_path(namespace: str, name: str) -> str:
    """Return the path of a job in the API."""
    return f"{jobs_path(namespace)}/{name}"


@dataclass(frozen=True)
class Eks:
    """Where the jobs of a deployment go."""

    cluster: EksSettings
    config: AgentConfig

    @property
    def names(self) -> Names:
        """What the deployment calls its own."""
        return Names(self.config.deployment)

    @classmethod
    def of(cls, config: AgentConfig) -> Self:
        """Read what a cluster's agent is told.

        Raises:
            ValueError: It is about another kind of cluster.
        """
        if config.eks is None:
            raise ValueError("the agent's settings lack `eks`: they are not of a deployment with hyperpod-eks")
        return cls(config.eks, config)


def run_manifests(order: SubmitOrder, eks: Eks) -> list[Manifest]:
    """Return what is submitted for a run: its PyTorchJob.

    Args:
        order: The run's order.
        eks: Where it goes.

    Raises:
        RequestError: The deployment has no size of this number of GPUs, or no image of the run's simulator.
    """
    # The operator gives the master rank 0, and the workers those from 1 on. It restarts what fails (OnFailure), which
    # HyperPod asks for to resume a job:
    # docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-resiliency-job-auto-resume.html
    replica = {"replicas": 1, "restartPolicy": "OnFailure", "template": _template(order, eks)}
    replicas = {"Master": replica}
    if order.compute.num_nodes > 1:
        replicas["Worker"] = replica | {"replicas": order.compute.num_nodes - 1}
    labels = _labels(order, eks) | {"kueue.x-k8s.io/queue-name": eks.cluster.queue}
    if eks.cluster.priority_class is not None:
        labels["kueue.x-k8s.io/priority-class"] = eks.cluster.priority_class
    return [
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "PyTorchJob",
            "metadata": {
                "name": order.key,
                "namespace": eks.cluster.namespace,
                "labels": labels,
                "annotations": {
                    "sagemaker.amazonaws.com/enable-job-auto-resume": "true",
                    "sagemaker.amazonaws.com/job-max-retry-count": str(eks.config.job_attempts),
                },
            },
            "spec": {
                "runPolicy": {
                    # Containers of the job's pods may restart less often than this, over all its pods:
                    # github.com/kubeflow/training-operator/blob/v1.9.3/pkg/core/job.go (PastBackoffLimit).
                    "backoffLimit": eks.config.job_attempts * order.compute.num_nodes,
                    "activeDeadlineSeconds": order.timeout_seconds,
                    # The pods that have ended stay with their logs; a worker that still runs ends with the master.
                    "cleanPodPolicy": "Running",
                    # A job is known for as long as one of AWS Batch is, after its end.
                    "ttlSecondsAfterFinished": 7 * 24 * 3600,
                },
                "pytorchReplicaSpecs": replicas,
            },
        }
    ]


def _labels(order: SubmitOrder, eks: Eks) -> dict[str, str]:
    return {DEPLOYMENT_LABEL: eks.config.deployment, RUN_LABEL: order.run_id}


def _template(order: SubmitOrder, eks: Eks) -> Manifest:
    spec = {
        "serviceAccountName": eks.names.runner_account,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "enableServiceLinks": False,
        # A mounted token is for this user alone if all containers have the same one; the simulator's is another:
        # github.com/kubernetes/enhancements/tree/master/keps/sig-storage/2451-service-account-token-volumes
        "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": {
            "node.kubernetes.io/instance-type": eks.cluster.instance_type,
            # HyperPod's own label: not a node that is being checked or replaced.
            "sagemaker.amazonaws.com/node-health-status": "Schedulable",
        },
        "containers": [_container(order, eks)],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": eks.names.volume_claim}},
            {"name": "pod", "emptyDir": {}},
            {
                "name": "shared-memory",
                "emptyDir": {"medium": "Memory", "sizeLimit": f"{_size(order, eks).memory_mib // _SHARED_MEMORY}Mi"},
            },
        ],
    }
    scraped = {"scrape": "true", "port": str(METRICS_PORT), "path": "/metrics"}
    metadata = {
        "labels": _labels(order, eks),
        "annotations": {f"prometheus.io/{name}": value for name, value in scraped.items()},
    }
    return {"metadata": metadata, "spec": spec}


def _container(order: SubmitOrder, eks: Eks) -> Manifest:
    needs, image = _needs(order, eks), image_of(order, eks.config)
    if image is None:
        raise RequestError("the agent's configuration names no image for the job: deploy again")
    return {
        # The operator knows the container by this name: github.com/kubeflow/training-operator/blob/v1.9.3/pkg/apis/
        # kubeflow.org/v1/pytorch_types.go
        "name": "pytorch",
        "image": image,
        # Without a command, the image's entry point is the runner.
        **({"command": list(eks.config.command)} if eks.config.command else {}),
        "args": [order.run_id],
        "env": [{"name": name, "value": value} for name, value in sorted(_variables(order, eks, image).items())],
        "ports": [
            {"name": "pytorchjob-port", "containerPort": NODE_PORT},
            {"name": METRICS_PORT_NAME, "containerPort": METRICS_PORT},
        ],
        # Extended resources and huge pages cannot be requested beyond their limit, or below it; the others are alike,
        # so that a pod is of the class Guaranteed, the last to be evicted.
        "resources": {"limits": needs, "requests": needs},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": _SIMULATOR_NEEDS},
        },
        "volumeMounts": [
            {"name": "runs", "mountPath": MOUNT_PATH},
            {"name": "pod", "mountPath": POD_DIRECTORY},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - where Linux has it
        ],
    }


def _size(order: SubmitOrder, eks: Eks) -> NodeSize:
    """Return what a pod gets. A slice of a GPU comes with its share of what the GPU would have."""
    gpus = order.compute.gpus_per_node
    size = eks.config.sizes.get(str(gpus))
    if size is None:
        allowed = ", ".join(sorted(eks.config.sizes))
        raise RequestError(f"computeConfig.gpusPerNode is {gpus}, allowed on the cluster: {allowed}")
    if order.compute.gpu_slice is None:
        return size
    parts = int(order.compute.gpu_slice[0])
    return NodeSize(
        gpus=size.gpus,
        vcpus=max(1, size.vcpus * parts // _GPU_PARTS),
        memory_mib=size.memory_mib * parts // _GPU_PARTS,
    )


def _needs(order: SubmitOrder, eks: Eks) -> dict[str, str]:
    """Return what a pod needs, as quantities of Kubernetes."""
    size, profile = _size(order, eks), order.compute.gpu_slice
    needs = {"cpu": str(size.vcpus), "memory": f"{size.memory_mib}Mi"}
    if profile is not None:
        # The name that NVIDIA's device plugin gives it, with the strategy `mixed`:
        # docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-gpu-partitioning.html
        needs[f"nvidia.com/mig-{profile}"] = "1"
    elif size.gpus:
        needs["nvidia.com/gpu"] = str(size.gpus)
    # Nodes exchange gradients; the processes of one have NVLink or shared memory.
    if order.compute.num_nodes > 1 and eks.cluster.efa_interfaces:
        needs["vpc.amazonaws.com/efa"] = str(eks.cluster.efa_interfaces)
        if eks.cluster.hugepages_mib:
            needs["hugepages-2Mi"] = f"{eks.cluster.hugepages_mib}Mi"
    return needs


def _variables(order: SubmitOrder, eks: Eks, image: str) -> dict[str, str]:
    variables = {
        **eks.config.job_environment,
        "GAITWAY_BACKEND": BACKEND,
        "GAITWAY_EFS_ROOT": MOUNT_PATH,
        "GAITWAY_IMAGE": image,
        "GAITWAY_INSTANCE_TYPE": eks.cluster.instance_type,
        "GAITWAY_JOB_ATTEMPTS": str(eks.config.job_attempts),
        "GAITWAY_JOB_NAMESPACE": eks.cluster.namespace,
        "GAITWAY_JOB_OBJECT": order.key,
        "GAITWAY_KUBERNETES_API": API,
        "GAITWAY_METRICS_PORT": str(METRICS_PORT),
        "GAITWAY_POD_DIRECTORY": POD_DIRECTORY,
        NODE_LOGS: f"{MOUNT_PATH}/{node_logs_name(order.job_id)}",
        "GAITWAY_SERVICE_ACCOUNT": SERVICE_ACCOUNT_DIRECTORY,
    }
    if order.compute.num_nodes > 1:
        variables |= {"NCCL_SOCKET_IFNAME": "^lo,docker", "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET"}
    return variables


def storage_manifests(eks: Eks) -> list[Manifest]:
    """Return what makes a deployment's file system available to the pods of a namespace: once for a cluster.

    The volume is the deployment's access point, given by id ("static provisioning"). The driver mounts it with the role
    of its own pods, which the file system's policy must admit:
    github.com/kubernetes-sigs/aws-efs-csi-driver/tree/master/examples/kubernetes/access_points
    """
    # EFS has no size; Kubernetes asks for one.
    size = {"storage": "1Ti"}
    access = ["ReadWriteMany"]
    claim, volume = eks.names.volume_claim, eks.names.volume(eks.cluster.team)
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": size,
                "accessModes": access,
                # It may hold the only copy of a checkpoint.
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "mountOptions": ["tls", "iam"],
                "csi": {
                    "driver": "efs.csi.aws.com",
                    "volumeHandle": f"{eks.config.file_system}::{eks.config.access_point}",
                },
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "name": claim,
                    "namespace": eks.cluster.namespace,
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": eks.cluster.namespace},
            "spec": {
                "accessModes": access,
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": size},
            },
        },
    ]


def permission_manifests(eks: Eks) -> list[Manifest]:
    """Return the service accounts of runs and of the agent, with what they may do: once for a cluster.

    Pod identity associations of EKS give them roles in AWS. In the cluster, a run may read jobs: when it is asked to
    stop, it looks whether its job goes on. The agent may submit jobs, end them and see what becomes of them.
    """
    of_runs = [{"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["get"]}]
    of_agent = [
        {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["create", "delete", "get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    names, namespace = eks.names, eks.cluster.namespace
    return [*_account(names.runner_account, namespace, of_runs), *_account(names.agent_account, namespace, of_agent)]


def _account(name: str, namespace: str, rules: list[dict[str, list[str]]]) -> list[Manifest]:
    metadata = {"name": name, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]
