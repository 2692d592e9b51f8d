"""A pod is lost, or the API of Kubernetes is away; on the stand-in."""

from __future__ import annotations

import time

from gaitway.local import eks
from tests.faults.campaign import scenario
from tests.faults.scenarios.clusters import start_on
from tests.faults.trial import Expected, Trial, succeeds


@scenario("Kubernetes: pod deleted", "simulate", why_missing=eks.why_missing)
def pod_is_deleted(trial: Trial) -> Expected:
    """As when its node is drained, or is gone."""
    options = trial.choose((), ("--force", "--grace-period=0"))
    start_on("hyperpod-eks", trial, pace_seconds=0.5)
    trial.wait_for_work(trial.moment())
    trial.now()
    trial.world.kubernetes.delete_pod(trial.job_id(), *options)
    return succeeds(attempts=2)


@scenario("Kubernetes: API away for a while", "start, simulate or end", alone=True, why_missing=eks.why_missing)
def api_is_away_for_a_while(trial: Trial) -> Expected:
    """The agent gets no answer, and what is ordered meanwhile waits; what runs goes on."""
    moment, seconds = trial.choose("start", "simulate", "end"), trial.choose(5.0, 12.0, 20.0)
    cluster = trial.world.kubernetes
    if moment == "start":
        with cluster.api_is_away():
            start_on("hyperpod-eks", trial)
            trial.job_id()
            time.sleep(seconds)
    else:
        start_on("hyperpod-eks", trial, pace_seconds=0.5)
        trial.wait_for_work(trial.moment() if moment == "simulate" else 7)
        with cluster.api_is_away():
            time.sleep(seconds)
    trial.now()
    return succeeds(attempts=1)
