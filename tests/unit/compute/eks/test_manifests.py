"""The manifests are what Kubernetes, its operators and HyperPod expect; every one passes the API's own models."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gaitway.compute.eks.agent_manifests import agent_manifest
from gaitway.compute.eks.documents import namespace_manifests
from gaitway.compute.eks.manifests import (
    POD_DIRECTORY,
    STOP_SECONDS,
    Eks,
    Manifest,
    permission_manifests,
    run_manifests,
    storage_manifests,
)
from gaitway.contracts.cluster import SubmitOrder
from gaitway.contracts.errors import RequestError
from gaitway.local.kubernetes.kinds import KINDS
from gaitway.local.kubernetes.schema import unknown_fields, wrong_values
from tests.unit.compute.eks.settings import IMAGES, KEY, RUN, eks, order

MODELS = {(kind.version, kind.name): kind.model for kind in KINDS}


def job_of(asked: SubmitOrder, to: Eks) -> Manifest:
    [manifest] = run_manifests(asked, to)
    return manifest


def pod_of(job: Manifest, replica: str = "Master") -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["pytorchReplicaSpecs"][replica]["template"]["spec"]
    return spec


def needs_of(job: Manifest) -> dict[str, str]:
    resources = pod_of(job)["containers"][0]["resources"]
    # Neither huge pages nor devices may be requested without a limit of the same size.
    assert resources["requests"] == resources["limits"]
    needs: dict[str, str] = resources["limits"]
    return needs


@pytest.mark.parametrize(
    "manifests",
    [
        run_manifests(order(), eks()),
        run_manifests(
            order(num_nodes=3, gpus_per_node=4), eks(priority_class="training", efa_interfaces=1, hugepages_mib=5120)
        ),
        run_manifests(order(gpu_slice="1g.10gb"), eks(instance_type="ml.p5.48xlarge")),
        storage_manifests(eks()),
        permission_manifests(eks()),
        [agent_manifest(eks())],
    ],
    ids=["one-node", "three-nodes", "slice", "storage", "permissions", "agent"],
)
def test_every_manifest_is_valid(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        model = MODELS[manifest["apiVersion"], manifest["kind"]]
        assert model is not None
        assert unknown_fields(manifest, model) + wrong_values(manifest, model) == []


def test_the_validation_finds_what_is_wrong() -> None:
    job = job_of(order(), eks())
    pod = pod_of(job)
    pod["containers"][0]["imag"] = "x"
    pod["containers"][0]["ports"][0]["containerPort"] = "29400"
    del job["spec"]["runPolicy"], pod["containers"][0]["name"]
    where = "spec.pytorchReplicaSpecs.Master.template.spec.containers[0]"
    assert unknown_fields(job, "KubeflowOrgV1PyTorchJob") == [f"{where}.imag"]
    assert sorted(wrong_values(job, "KubeflowOrgV1PyTorchJob")) == [
        f"{where}.name: Required value",
        f"{where}.ports[0].containerPort: Invalid value: '29400': must be of type int",
        "spec.runPolicy: Required value",
    ]


def test_a_job_is_where_hyperpod_resumes_jobs_and_waits_in_its_teams_queue() -> None:
    job = job_of(order(), eks(team="legs", priority_class="training"))
    metadata = job["metadata"]
    # HyperPod resumes jobs only in `kubeflow` and in namespaces that begin with `hyperpod`.
    assert (metadata["name"], metadata["namespace"]) == (KEY, "hyperpod-ns-legs")
    assert metadata["labels"] == {
        "gaitway/deployment": "gaitway",
        "gaitway/run": RUN,
        "kueue.x-k8s.io/queue-name": "hyperpod-ns-legs-localqueue",
        "kueue.x-k8s.io/priority-class": "training",
    }
    assert metadata["annotations"] == {
        "sagemaker.amazonaws.com/enable-job-auto-resume": "true",
        "sagemaker.amazonaws.com/job-max-retry-count": "3",
    }
    assert job["spec"]["pytorchReplicaSpecs"]["Master"]["restartPolicy"] == "OnFailure"


def test_one_master_leads_and_the_other_nodes_are_workers() -> None:
    assert set(job_of(order(), eks())["spec"]["pytorchReplicaSpecs"]) == {"Master"}
    job = job_of(order(num_nodes=3), eks())
    assert {name: spec["replicas"] for name, spec in job["spec"]["pytorchReplicaSpecs"].items()} == {
        "Master": 1,
        "Worker": 2,
    }
    # Over all pods: when one node fails, all of them begin anew.
    assert job["spec"]["runPolicy"]["backoffLimit"] == 3 * 3
    assert pod_of(job, "Worker") == pod_of(job)


def test_names_of_pods_are_labels() -> None:
    job = job_of(order(num_nodes=64), eks())
    assert len(f"{job['metadata']['name']}-worker-62") <= 63


def test_a_node_gets_what_its_processes_need() -> None:
    assert needs_of(job_of(order(gpus_per_node=2), eks())) == {
        "cpu": "16",
        "memory": "57344Mi",
        "nvidia.com/gpu": "2",
    }
    with pytest.raises(RequestError, match=r"computeConfig\.gpusPerNode is 3, allowed on the cluster: 1, 2, 4"):
        job_of(order(gpus_per_node=3), eks())


def test_several_nodes_use_the_adapters_and_huge_pages_that_the_instance_has() -> None:
    several = order(num_nodes=2, gpus_per_node=4)
    adapters = needs_of(job_of(several, eks(efa_interfaces=1, hugepages_mib=5120)))
    assert (adapters["vpc.amazonaws.com/efa"], adapters["hugepages-2Mi"]) == ("1", "5120Mi")
    assert "hugepages-2Mi" not in needs_of(job_of(several, eks(efa_interfaces=1)))
    one = order(gpus_per_node=4)
    assert "vpc.amazonaws.com/efa" not in needs_of(job_of(one, eks(efa_interfaces=1, hugepages_mib=5120)))
    without = needs_of(job_of(several, eks(hugepages_mib=5120)))
    assert {"vpc.amazonaws.com/efa", "hugepages-2Mi"}.isdisjoint(without)


def test_a_slice_comes_with_its_share_of_the_machine() -> None:
    assert needs_of(job_of(order(gpu_slice="3g.20gb"), eks())) == {
        "cpu": "3",
        "memory": "12288Mi",
        "nvidia.com/mig-3g.20gb": "1",
    }
    shared = next(
        one for one in pod_of(job_of(order(gpu_slice="3g.20gb"), eks()))["volumes"] if one["name"] == "shared-memory"
    )
    # It counts against the pod's own limit.
    assert shared["emptyDir"]["sizeLimit"] == "3072Mi"


def test_the_simulators_other_user_can_be_taken_and_nothing_else_gained() -> None:
    pod = pod_of(job_of(order(), eks()))
    # With one user for all containers, the kubelet gives the pod's tokens to that user alone.
    assert pod["securityContext"]["runAsUser"] == 0
    container = pod["containers"][0]["securityContext"]
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"]["drop"] == ["ALL"]
    assert {"SETUID", "SETGID", "KILL"} <= set(container["capabilities"]["add"])
    assert "SYS_ADMIN" not in container["capabilities"]["add"]


def test_prometheus_finds_the_metrics_of_each_pod() -> None:
    for replica in job_of(order(num_nodes=2), eks())["spec"]["pytorchReplicaSpecs"].values():
        template = replica["template"]
        [container] = template["spec"]["containers"]
        [port] = [port["containerPort"] for port in container["ports"] if port["name"] == "metrics"]
        assert {"name": "GAITWAY_METRICS_PORT", "value": str(port)} in container["env"]
        assert template["metadata"]["annotations"] == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port),
            "prometheus.io/path": "/metrics",
        }


def test_a_run_that_is_stopped_has_time_to_save() -> None:
    job = job_of(order(timeout_seconds=7200), eks())
    assert pod_of(job)["terminationGracePeriodSeconds"] == STOP_SECONDS
    assert job["spec"]["runPolicy"]["activeDeadlineSeconds"] == 7200


def test_the_file_system_is_mounted_by_the_access_point_with_a_role_over_tls() -> None:
    volume, claim = storage_manifests(eks())
    assert volume["spec"]["csi"]["volumeHandle"] == "fs-0123456789abcdef0::fsap-0123456789abcdef0"
    assert volume["spec"]["mountOptions"] == ["tls", "iam"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    # Each names the other: no other claim gets this volume.
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    pod = pod_of(job_of(order(), eks()))
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_a_run_gets_the_image_of_its_simulator() -> None:
    for simulator, image in IMAGES.items():
        [container] = pod_of(job_of(order(simulator=simulator), eks()))["containers"]
        assert container["image"] == image
        assert {"name": "GAITWAY_IMAGE", "value": image} in container["env"]
    # From before there was a choice.
    assert pod_of(job_of(order(simulator=None), eks()))["containers"][0]["image"] == IMAGES["isaaclab-2"]
    with pytest.raises(RequestError, match="the simulator embedded, which is not deployed any more"):
        job_of(order(simulator="embedded"), eks())


def test_two_deployments_with_one_team_have_no_name_in_common() -> None:
    def named(deployment: str) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in namespace_manifests(eks(deployment))}

    assert named("gaitway").isdisjoint(named("legs"))
    job = job_of(order(), eks("legs"))
    assert job["metadata"]["labels"]["gaitway/deployment"] == "legs"
    # What a job's pods refer to is its own deployment's.
    pod = pod_of(job)
    assert {("ServiceAccount", pod["serviceAccountName"])} <= named("legs")
    assert {("PersistentVolumeClaim", pod["volumes"][0]["persistentVolumeClaim"]["claimName"])} <= named("legs")


def test_there_is_one_agent_with_its_own_rights_and_no_others() -> None:
    deployment = agent_manifest(eks("legs"))
    spec = deployment["spec"]
    # Two at a time would report everything twice.
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    accounts = {one["metadata"]["name"] for one in permission_manifests(eks("legs")) if one["kind"] == "ServiceAccount"}
    assert pod["serviceAccountName"] == deployment["metadata"]["name"] == "legs-agent"
    assert pod["serviceAccountName"] in accounts
    assert container["args"][-1] == "/legs/agent/hyperpod-eks"
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 1000)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_the_agent_runs_in_the_smallest_image_and_takes_no_gpu() -> None:
    [container] = agent_manifest(eks())["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGES["isaaclab-3"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize(("probe", "file"), [("livenessProbe", "alive"), ("readinessProbe", "ready")])
def test_a_probe_succeeds_as_long_as_the_agent_touches_its_file(probe: str, file: str, tmp_path: Path) -> None:
    [container] = agent_manifest(eks())["spec"]["template"]["spec"]["containers"]
    command = [part.replace(POD_DIRECTORY, str(tmp_path)) for part in container[probe]["exec"]["command"]]

    def is_well() -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert not is_well()
    path = tmp_path / file
    path.touch()
    assert is_well()
    long_ago = path.stat().st_mtime - 600
    os.utime(path, (long_ago, long_ago))
    assert not is_well()


def test_a_run_may_read_jobs_in_its_namespace_and_nothing_else() -> None:
    account, role, binding, *_ = permission_manifests(eks())
    assert role["rules"] == [{"apiGroups": ["kubeflow.org"], "resources": ["pytorchjobs"], "verbs": ["get"]}]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert pod_of(job_of(order(), eks()))["serviceAccountName"] == account["metadata"]["name"]
