"""Of a cluster, whichever it is: a runner or the agent is killed, an order comes twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from gaitway.contracts.backends import Backend
from gaitway.local import eks, slurm
from gaitway.local.launcher import CLUSTERS, EKS, SLURM
from tests.faults.actions import cut, cut_after, internal_error, keep, kill_asker, kill_asker_after, throttle
from tests.faults.campaign import Script, scenario
from tests.faults.plan import Act
from tests.faults.proxy import Exchange
from tests.faults.trial import Expected, Trial, succeeds

WHY_MISSING: dict[str, Callable[[], str | None]] = {EKS: eks.why_missing, SLURM: slurm.why_missing}
TITLES = {EKS: "Kubernetes", SLURM: "Slurm"}
ORDER = "sqs:SendMessage"


def start_on(backend: Backend, trial: Trial, *acts: Act, **plan: object) -> None:
    """Start a run on a cluster, which is ready then."""
    trial.compute = {"backend": backend}
    trial.world.cluster(backend)
    trial.plan(*acts, **plan)
    trial.start()


def _register(name: str) -> None:
    backend: Backend = CLUSTERS[name]

    def runner_is_killed(trial: Trial) -> Expected:
        start_on(backend, trial, Act("kill_runner", trial.moment(), attempts=(1,)))
        return succeeds(attempts=2)

    def agent_is_killed(trial: Trial) -> Expected:
        """It dies between two of its calls: after a submission, or before a state is reported or written."""
        action = trial.choose(kill_asker, kill_asker_after)
        operation, skip = trial.choose("dynamodb:UpdateItem", "events:PutEvents"), trial.choose(0, 1)
        rule = trial.rule(action, operation, source="agent", skip=skip, times=1)
        with trial.world.cluster(backend).agent_dies():
            start_on(backend, trial, pace_seconds=0.3)
            trial.wait_for(rule.hit, "the agent was killed")
        return succeeds(attempts=1)

    def order_comes_twice(trial: Trial) -> Expected:
        """SQS delivers at least once: at once, in the middle of the job, or when it has ended."""
        kept: list[Exchange] = []
        rule = trial.rule(keep(kept), ORDER, source="submit_job", times=1)
        start_on(backend, trial, pace_seconds=0.3)
        trial.wait_for(rule.hit, "the order was given")
        moment = trial.choose("at once", "in the middle", "after the end")
        if moment == "in the middle":
            trial.wait_for_work(trial.moment())
        elif moment == "after the end":
            trial.wait(lambda: trial.caller()["status"] != "RUNNING", "the caller was told")
        trial.now()
        [order] = kept
        trial.world.sqs.send_message(**json.loads(order.body) | {"MessageDeduplicationId": uuid.uuid4().hex})
        return succeeds(attempts=1)

    def order_cannot_be_given_for_a_while(trial: Trial) -> Expected:
        trial.rule(trial.choose(internal_error, throttle, cut, cut_after), ORDER, source="submit_job", times=2)
        start_on(backend, trial)
        return succeeds(attempts=1)

    title = TITLES[name]
    faults: tuple[tuple[str, str, Script], ...] = (
        (f"{title}: runner killed -9", "simulate", runner_is_killed),
        (f"{title}: agent killed -9", "call of the agent", agent_is_killed),
        (f"{title}: order comes twice", "agent", order_comes_twice),
        (f"{title}: function is refused twice", "submit_job SendMessage", order_cannot_be_given_for_a_while),
    )
    for fault, stage, script in faults:
        script.__name__ = f"{name}_{script.__name__}"
        scenario(fault, stage, why_missing=WHY_MISSING[name])(script)


for _name in CLUSTERS:
    _register(_name)
