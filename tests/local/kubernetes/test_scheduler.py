"""The agent's scheduler on the stand-in, with the rights that its manifests give it and no others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gaitway.agent.kubernetes import PULL_SECONDS, KubernetesScheduler
from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.compute import ends
from gaitway.compute.eks.manifests import permission_manifests
from gaitway.compute.jobs import Job, JobState
from gaitway.local.kubernetes.kinds import POD
from gaitway.runner.host.eks import EksHost
from tests.local.kubernetes.conftest import NAMESPACE, PATIENCE_SECONDS, Desk
from tests.unit.compute.eks.settings import KEY, eks, order

JOB_ID = f"hyperpod-eks/{KEY}"
MASTER = f"{KEY}-master-0"


def until(scheduler: KubernetesScheduler, is_so: Callable[[Job | None], bool]) -> Job | None:
    """Wait until the scheduler's job is as it should be."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so(job := next((one for one in scheduler.states() if one.id == JOB_ID), None)):
        assert time.monotonic() < give_up_at, job
    return job


def test_a_job_is_found_by_its_id_until_it_has_succeeded(ready: Desk) -> None:
    scheduler = ready.scheduler()
    assert scheduler.find(JOB_ID) is None
    assert list(scheduler.states()) == []
    scheduler.submit(order())
    job = until(scheduler, lambda job: job is not None and job.has_ended)
    assert job == scheduler.find(JOB_ID)
    assert job is not None
    assert (job.name, job.state, job.end) == (KEY.removesuffix("-1"), JobState.SUCCEEDED, None)
    assert job.created_at is not None
    assert job.ended_at is not None


def test_an_order_that_is_carried_out_twice_makes_one_job(ready: Desk) -> None:
    scheduler = ready.scheduler()
    scheduler.submit(order())
    first = ready.cluster.store.version
    scheduler.submit(order())
    assert ready.cluster.store.version >= first
    assert len(scheduler.states()) == 1


def test_a_job_that_is_killed_runs_again_and_says_how_often(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("2")
    scheduler = ready.scheduler()
    scheduler.submit(order())
    ready.running()
    running = until(scheduler, lambda job: job is not None and job.state is JobState.RUNNING)
    process_id = ready.cluster.kubelet.process_id(NAMESPACE, MASTER)
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    job = until(scheduler, lambda job: job is not None and job.has_ended)
    assert running is not None
    assert job is not None
    assert (running.attempts, job.attempts, job.state) == (0, 1, JobState.SUCCEEDED)


def test_a_job_that_fails_again_and_again_has_an_end_with_the_operators_words(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    (ready.volume / "fails").touch()
    scheduler = ready.scheduler()
    scheduler.submit(order())
    job = until(scheduler, lambda job: job is not None and job.has_ended)
    assert job is not None
    assert (job.state, job.end) == (JobState.FAILED, ends.TOO_MANY_RESTARTS)
    assert "reached the specified backoff limit" in job.reason


def test_a_job_that_is_ended_is_known_until_its_pods_are_gone(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    scheduler = ready.scheduler()
    scheduler.submit(order())
    lost = ready.running()
    scheduler.stop(JOB_ID, "cancelled by its user")
    until(scheduler, lambda job: job is None)
    assert ready.cluster.store.all(POD) == []
    assert "told to stop" in (ready.directory / "pods" / lost["metadata"]["uid"] / "0.log").read_text()
    # Somebody was faster.
    scheduler.stop(JOB_ID, "cancelled by its user")


def test_a_job_whose_image_cannot_be_pulled_is_ended(ready: Desk) -> None:
    ready.images.clear()
    scheduler = ready.scheduler()
    scheduler.submit(order())
    ready.wait(POD, MASTER, lambda pod: bool(pod["status"].get("containerStatuses")))
    [waiting] = scheduler.states()
    assert not waiting.has_ended
    later = replace(scheduler, clock=lambda: datetime.now(UTC) + timedelta(seconds=PULL_SECONDS + 1))
    [job] = later.states()
    assert (job.state, job.end) == (JobState.FAILED, ends.NO_IMAGE)
    assert "failed to pull and unpack image" in job.reason
    until(scheduler, lambda job: job is None)


def test_what_the_cluster_will_never_accept_is_refused_with_its_words(ready: Desk) -> None:
    with pytest.raises(OrderRefusedError, match=r"gpusPerNode is 3, allowed on the cluster: 1, 2, 4"):
        ready.scheduler().submit(order(gpus_per_node=3))
    wrong = order().model_copy(update={"job_id": "hyperpod-eks/Run_1"})
    with pytest.raises(OrderRefusedError, match="a lowercase RFC 1123 subdomain is required"):
        ready.scheduler().submit(wrong)
    assert list(ready.scheduler().states()) == []


def test_without_the_right_or_an_answer_the_order_stays(ready: Desk) -> None:
    with pytest.raises(SchedulerError, match='cannot create resource "pytorchjobs"'):
        ready.scheduler(team="legs").submit(order())
    scheduler = ready.scheduler()
    ready.cluster.close()
    for call in (lambda: scheduler.submit(order()), lambda: scheduler.stop(JOB_ID, ""), scheduler.states):
        with pytest.raises(SchedulerError, match="the Kubernetes API does not answer"):
            call()


def test_a_pod_that_is_told_to_stop_knows_whether_another_one_follows(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    scheduler = ready.scheduler()
    scheduler.submit(order())
    ready.running()
    account = ready.directory / "runner"
    ready.cluster.write_account(account, "gaitway-runner")
    host = EksHost.of(
        {
            "GAITWAY_JOB_OBJECT": KEY,
            "GAITWAY_JOB_NAMESPACE": NAMESPACE,
            "GAITWAY_POD_DIRECTORY": str(account),
            "GAITWAY_KUBERNETES_API": ready.cluster.url,
            "GAITWAY_SERVICE_ACCOUNT": str(account),
        },
        lambda service: None,
    )
    # The node is drained, or Kueue takes it.
    assert host.is_attempted_again_after_stop()
    scheduler.stop(JOB_ID, "cancelled by its user")
    assert not host.is_attempted_again_after_stop()


def test_neither_account_may_do_more(ready: Desk) -> None:
    rules = [role["rules"] for role in permission_manifests(eks()) if role["kind"] == "Role"]
    assert rules[0] == [{"apiGroups": ["kubeflow.org"], "resources": ["pytorchjobs"], "verbs": ["get"]}]
    scheduler = ready.scheduler()
    with pytest.raises(Exception, match='cannot create resource "pods"'):
        scheduler.api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {})
    with pytest.raises(Exception, match='cannot get resource "pods/log"'):
        scheduler.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/x/log")
