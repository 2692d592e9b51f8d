"""Real kubectl works with the stand-in, which is as strict as the API."""

from __future__ import annotations

import json

import pytest
import yaml

from gaitway.compute.eks.documents import namespace_manifests
from gaitway.compute.eks.manifests import Manifest, permission_manifests, run_manifests, storage_manifests
from gaitway.local.kubernetes.kinds import PYTORCH_JOB
from tests.local.kubernetes.conftest import NAMESPACE, Desk
from tests.unit.compute.eks.settings import KEY, eks, order


def job() -> Manifest:
    [manifest] = run_manifests(order(), eks())
    return manifest


def test_what_is_generated_can_be_applied_by_hand_and_again(desk: Desk) -> None:
    manifests = [*namespace_manifests(eks()), job()]
    text = yaml.safe_dump_all(manifests)
    assert desk.kubectl("apply", "-f", "-", text=text).count("created") == len(manifests)
    assert desk.kubectl("apply", "-f", "-", text=text).count("unchanged") == len(manifests)
    assert "successfully completed" in desk.ended()
    found = json.loads(desk.kubectl("get", "pytorchjob", KEY, "--output", "json"))
    assert found["spec"]["runPolicy"]["suspend"] is False
    assert KEY in desk.kubectl("get", "pytorchjobs,pods")
    assert "rank 0 of 1" in desk.kubectl("logs", "--follow", f"{KEY}-master-0")
    assert "deleted" in desk.kubectl("delete", "pytorchjob", KEY)
    assert KEY not in desk.kubectl("get", "pods")


def test_what_an_administrator_has_made_can_be_applied_over(ready: Desk) -> None:
    manifests = [*permission_manifests(eks()), *storage_manifests(eks())]
    text = yaml.safe_dump_all(manifests)
    for dry in (["--dry-run=server"], []):
        # Nothing is kept of the first.
        assert ready.kubectl("apply", *dry, "-f", "-", text=text).count("configured") == len(manifests)
    manifests[1]["rules"].append({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})
    # A list: only the API itself knows which parts of it replace which.
    assert "UnsupportedMediaType" in ready.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(manifests), code=1)


def test_a_watch_shows_each_change(ready: Desk) -> None:
    ready.apply(job())
    ready.ended()
    waited = ready.kubectl("wait", "pytorchjob", KEY, "--for=condition=Succeeded", "--timeout=20s")
    assert "condition met" in waited


def test_an_unknown_field_a_missing_one_and_a_wrong_one_are_refused(ready: Desk) -> None:
    unknown, missing, wrong = job(), job(), job()
    unknown["spec"]["runPolicy"]["backofLimit"] = 3
    del missing["spec"]["runPolicy"]
    wrong["spec"]["pytorchReplicaSpecs"]["Master"]["replicas"] = 2
    for manifest, message in (
        (unknown, 'strict decoding error: unknown field "spec.runPolicy.backofLimit"'),
        (missing, "spec.runPolicy: Required value"),
        (wrong, "spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1"),
    ):
        assert message in ready.kubectl("apply", "-f", "-", text=yaml.safe_dump(manifest), code=1)
    assert ready.cluster.store.all(PYTORCH_JOB) == []


def test_what_exists_or_does_not_exist_is_said(ready: Desk) -> None:
    ready.apply(job())
    text = yaml.safe_dump(job())
    assert f'pytorchjobs.kubeflow.org "{KEY}" already exists' in ready.kubectl("create", "-f", "-", text=text, code=1)
    assert "(NotFound)" in ready.kubectl("get", "pytorchjob", "nobody", code=1)
    elsewhere = yaml.safe_dump(permission_manifests(eks(team="legs"))[0])
    assert 'namespaces "hyperpod-ns-legs" not found' in ready.kubectl("create", "-f", "-", text=elsewhere, code=1)
    assert "the server doesn't have a resource type" in ready.kubectl("get", "statefulsets", code=1)


def test_an_object_that_has_changed_meanwhile_is_not_replaced(ready: Desk) -> None:
    ready.apply(job())
    ready.ended()
    old = json.loads(ready.kubectl("get", "pytorchjob", KEY, "--output", "json"))
    ready.kubectl("patch", "pytorchjob", KEY, "--type=merge", "--patch", '{"metadata": {"labels": {"a": "b"}}}')
    old["metadata"]["labels"]["a"] = "c"
    said = ready.kubectl("replace", "-f", "-", text=json.dumps(old), code=1)
    assert "the object has been modified" in said
    assert ready.cluster.store.get(PYTORCH_JOB, NAMESPACE, KEY)["metadata"]["labels"]["a"] == "b"


@pytest.mark.parametrize("selector", ["gaitway/run", "a!=b"])
def test_labels_select(ready: Desk, selector: str) -> None:
    ready.apply(job())
    assert KEY in ready.kubectl("get", "pytorchjobs", "--selector", selector)
    assert "No resources found" in ready.kubectl("get", "pytorchjobs", "--selector", "gaitway/run=another")


def test_without_a_token_nothing_is_said(desk: Desk) -> None:
    said = desk.kubectl("--token", "guessed", "get", "pods", code=1)
    assert "Unauthorized" in said or "provide credentials" in said
