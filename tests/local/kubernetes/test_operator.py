"""Pods are made, restarted, replaced and ended as the Training Operator, Kueue and the kubelet do it."""

from __future__ import annotations

import os
import signal

import pytest

from gaitway.compute.eks.manifests import permission_manifests, run_manifests
from gaitway.local.kubernetes.kinds import POD, PYTORCH_JOB
from gaitway.local.kubernetes.store import ApiError, Object, Store
from tests.local.kubernetes.conftest import NAMESPACE, Desk
from tests.unit.compute.eks.settings import KEY, RUN, eks, order

MASTER = f"{KEY}-master-0"


def conditions(desk: Desk, name: str = KEY) -> dict[str, str]:
    job = desk.cluster.store.get(PYTORCH_JOB, NAMESPACE, name)
    return {one["type"]: one["status"] for one in job["status"]["conditions"]}


def test_a_job_is_created_runs_and_succeeds(ready: Desk) -> None:
    ready.apply(*run_manifests(order(), eks()))
    assert ready.ended() == f"PyTorchJob {KEY} is successfully completed."
    found = conditions(ready)
    assert (found["Created"], found["Succeeded"]) == ("True", "True")
    assert found.get("Running", "False") == "False"
    assert ready.kubectl("logs", MASTER) == f"rank 0 of 1, run {RUN}\n"


def test_a_node_that_is_lost_is_replaced_and_its_pods_run_elsewhere(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("2")
    ready.apply(*run_manifests(order(), eks()))
    pod = ready.running()
    ready.kubectl("delete", "node", pod["spec"]["nodeName"])
    assert "successfully completed" in ready.ended()
    after = ready.cluster.store.get(POD, NAMESPACE, MASTER)
    assert after["metadata"]["uid"] != pod["metadata"]["uid"]
    assert after["spec"]["nodeName"] != pod["spec"]["nodeName"]
    # It had no time to say anything.
    assert "told to stop" not in (ready.directory / "pods" / pod["metadata"]["uid"] / "0.log").read_text()


def test_a_container_that_is_killed_is_restarted_in_its_pod(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("3")
    ready.apply(*run_manifests(order(), eks()))
    for restarts in range(2):
        pod = ready.running(restarts=restarts)
        process_id = ready.cluster.kubelet.process_id(NAMESPACE, MASTER)
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
    assert "successfully completed" in ready.ended()
    after = ready.cluster.store.get(POD, NAMESPACE, MASTER)
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    [status] = after["status"]["containerStatuses"]
    assert status["restartCount"] == 2


def test_a_job_that_restarts_too_often_fails(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    (ready.volume / "fails").touch()
    ready.apply(*run_manifests(order(), eks()))
    assert ready.ended() == f"Job {KEY} has failed because it has reached the specified backoff limit"
    # `attempts` of them count; the operator sees the one after them, and ends it.
    assert (ready.volume / "attempts").read_text().count("x") in (3, 4)


def test_a_job_fails_when_its_time_is_over(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    [job] = run_manifests(order(), eks())
    job["spec"]["runPolicy"]["activeDeadlineSeconds"] = 1
    ready.apply(job)
    assert ready.ended() == f"Job {KEY} has failed because it was active longer than specified deadline"


def test_a_pod_that_is_lost_is_replaced(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("2")
    ready.apply(*run_manifests(order(), eks()))
    lost = ready.running()
    # What becomes of the pods of a node that HyperPod replaces.
    ready.kubectl("delete", "pod", MASTER, "--force", "--grace-period=0")
    assert "successfully completed" in ready.ended()
    replaced = ready.cluster.store.get(POD, NAMESPACE, MASTER)
    assert replaced["metadata"]["uid"] != lost["metadata"]["uid"]


def test_a_pod_that_is_deleted_is_told_to_stop_first(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("2")
    ready.apply(*run_manifests(order(), eks()))
    lost = ready.running()
    ready.kubectl("delete", "pod", MASTER)
    assert "successfully completed" in ready.ended()
    log = ready.directory / "pods" / lost["metadata"]["uid"] / "0.log"
    assert "told to stop" in log.read_text()


def test_the_nodes_of_a_job_know_their_places(ready: Desk) -> None:
    ready.apply(*run_manifests(order(num_nodes=2), eks()))
    assert "successfully completed" in ready.ended()
    assert ready.kubectl("logs", MASTER) == f"rank 0 of 2, run {RUN}\n"


def test_a_job_without_room_waits_suspended_and_those_behind_it_pass_if_they_fit(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    names = [f"{RUN}-{'b' * 12}-{number}" for number in range(1, 4)]
    big, waiting, small = names
    ready.apply(*run_manifests(order(big, gpus_per_node=4), eks()))
    ready.running(f"{big}-master-0")
    ready.apply(*run_manifests(order(waiting, num_nodes=2, gpus_per_node=4), eks()))
    ready.apply(*run_manifests(order(small, gpus_per_node=2), eks()))
    ready.running(f"{small}-master-0")
    ready.wait(
        PYTORCH_JOB, waiting, lambda job: "Suspended" in conditions(ready, waiting) if "status" in job else False
    )
    assert conditions(ready, waiting) == {"Created": "True", "Suspended": "True"}
    ready.kubectl("delete", "pytorchjob", big, small)
    ready.running(f"{waiting}-worker-0")
    assert conditions(ready, waiting)["Suspended"] == "False"


def test_a_job_of_a_higher_class_takes_the_machines_and_gives_them_back(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    first, urgent = f"{RUN}-{'c' * 12}-1", f"{RUN}-{'c' * 12}-2"
    ready.apply(*run_manifests(order(first, num_nodes=2, gpus_per_node=4), eks(priority_class="training")))
    for pod in ("master-0", "worker-0"):
        ready.running(f"{first}-{pod}")
    (ready.volume / "succeeds_at").write_text("1")
    ready.apply(*run_manifests(order(urgent, gpus_per_node=4), eks(priority_class="inference")))
    assert "successfully completed" in ready.ended(urgent)
    assert "successfully completed" in ready.ended(first)
    assert conditions(ready, first)["Suspended"] == "False"


def test_a_pod_waits_for_an_image_and_a_node_that_do_not_exist(ready: Desk) -> None:
    ready.images.clear()
    ready.apply(*run_manifests(order(), eks()))
    pod = ready.wait(POD, MASTER, lambda pod: bool(pod["status"].get("containerStatuses")))
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"
    elsewhere = f"{RUN}-{'d' * 12}-1"
    ready.apply(*run_manifests(order(elsewhere), eks(instance_type="ml.p5.48xlarge")))
    pod = ready.wait(POD, f"{elsewhere}-master-0", lambda pod: bool(pod["status"].get("conditions")))
    assert "2 node(s) didn't match Pod's node affinity/selector" in pod["status"]["conditions"][0]["message"]


def test_a_slice_that_no_node_offers_is_never_admitted(ready: Desk) -> None:
    ready.apply(*run_manifests(order(gpu_slice="1g.10gb"), eks()))
    ready.wait(PYTORCH_JOB, KEY, lambda job: "Suspended" in conditions(ready) if "status" in job else False)
    assert ready.cluster.store.all(POD) == []


def test_a_pod_waits_for_the_claim_on_the_file_system(desk: Desk) -> None:
    desk.apply(*permission_manifests(eks()))
    desk.apply(*run_manifests(order(), eks()))
    pod = desk.wait(POD, MASTER, lambda pod: bool(pod["status"].get("conditions")))
    assert 'persistentvolumeclaim "gaitway-runs" not found' in pod["status"]["conditions"][0]["message"]


def test_what_ends_late_does_not_take_the_pod_that_has_its_name_by_then() -> None:
    store = Store()
    first, second = (pod_named_alike(store) for _ in range(2))
    assert store.find(POD, NAMESPACE, MASTER) == second
    uid = first["metadata"]["uid"]
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition"):
        store.delete(POD, NAMESPACE, MASTER, uid)
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition"):
        store.change(POD, NAMESPACE, MASTER, dict.clear, uid=uid)
    assert store.find(POD, NAMESPACE, MASTER) == second


def pod_named_alike(store: Store) -> Object:
    """Create a pod, after another of its name was removed."""
    if store.find(POD, NAMESPACE, MASTER):
        store.delete(POD, NAMESPACE, MASTER)
    return store.create(POD, {"metadata": {"name": MASTER, "namespace": NAMESPACE}})
