"""A function fails, dies or does not end, before and after its side effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.actions import cut, cut_after, hold, internal_error, kill_asker, kill_asker_after, throttle
from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.scenarios.jobs import in_every_attempt
from tests.faults.trial import Expected, Trial, fails, succeeds


@dataclass(frozen=True)
class Effect:
    """A side effect of a function."""

    verb: str
    operation: str


EFFECTS = (
    Effect("launch", "dynamodb:TransactWriteItems"),
    Effect("launch", "states:StartExecution"),
    Effect("construct_run", "dynamodb:UpdateItem"),
    Effect("submit_job", "dynamodb:TransactWriteItems"),
    Effect("submit_job", "batch:submitjob"),
    Effect("submit_job", "dynamodb:UpdateItem"),
    # Of the steps after the job: check, publish, and conclude with the record and the caller.
    Effect("collect_results", "s3:GetObject"),
    Effect("collect_results", "s3:PutObject"),
    Effect("collect_results", "dynamodb:UpdateItem"),
    Effect("collect_results", "states:SendTaskSuccess"),
)
"""Side effects of the functions in a successful run."""

FAILURE_EFFECTS = (
    Effect("handle_failure", "dynamodb:UpdateItem"),
    Effect("handle_failure", "batch:terminatejob"),
    Effect("handle_failure", "states:SendTaskFailure"),
)

WATCHER_EFFECTS = (Effect("job_state", "states:SendTaskFailure"),)


def _goes_well(trial: Trial) -> Expected:
    trial.start()
    return succeeds()


def _diverges(trial: Trial) -> Expected:
    trial.plan(Act("diverge", trial.moment()))
    trial.start()
    return fails("NotANumberError")


def _loses_its_job(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("kill_runner", trial))
    trial.start()
    return fails("InterruptedRunError")


def _register(effect: Effect, run: Callable[[Trial], Expected]) -> None:
    where = f"{effect.verb} {effect.operation.partition(':')[2]}"
    label = where.replace(" ", "_").lower()

    def dies_before(trial: Trial) -> Expected:
        trial.rule(kill_asker, effect.operation, source=effect.verb, times=1)
        return run(trial)

    def dies_after(trial: Trial) -> Expected:
        trial.rule(kill_asker_after, effect.operation, source=effect.verb, times=1)
        return run(trial)

    def is_refused_for_a_while(trial: Trial) -> Expected:
        action = trial.choose(internal_error, throttle, cut, cut_after)
        trial.rule(action, effect.operation, source=effect.verb, times=2)
        return run(trial)

    for fault, script in (
        ("function dies before its effect", dies_before),
        ("function dies after its effect", dies_after),
        ("function is refused twice", is_refused_for_a_while),
    ):
        script.__name__ = f"{label}_{script.__name__}"
        scenario(fault, where)(script)


for _effect in EFFECTS:
    _register(_effect, _goes_well)
for _effect in FAILURE_EFFECTS:
    _register(_effect, _diverges)
for _effect in WATCHER_EFFECTS:
    _register(_effect, _loses_its_job)


@scenario("function always dies", "handle_failure")
def handle_failure_always_dies(trial: Trial) -> Expected:
    trial.plan(Act("diverge", trial.moment()))
    trial.rule(kill_asker, source="handle_failure")
    trial.start()
    return fails("NotANumberError")


@scenario("function is refused for good", "construct_run UpdateItem")
def construct_run_cannot_write(trial: Trial) -> Expected:
    trial.rule(internal_error, "dynamodb:UpdateItem", source="construct_run")
    trial.start()
    return fails("InternalServerError", "ClientError", attempts=0)


@scenario("function is refused for good", "collect_results PutObject")
def run_cannot_be_published(trial: Trial) -> Expected:
    trial.rule(internal_error, "s3:PutObject", source="collect_results")
    trial.start()
    return succeeds()


@scenario("function always dies", "collect_results PutObject")
def publishing_always_dies(trial: Trial) -> Expected:
    trial.rule(kill_asker, "s3:PutObject", source="collect_results")
    trial.start()
    return succeeds()


@scenario("function is refused for good", "submit_job submitjob")
def submit_job_cannot_submit(trial: Trial) -> Expected:
    trial.rule(throttle, "batch:submitjob", source="submit_job")
    trial.start()
    return fails("TooManyRequestsException", "ClientError", attempts=0)


@scenario("function times out", "submit_job submitjob")
def submit_job_times_out(trial: Trial) -> Expected:
    trial.rule(hold(40), "batch:submitjob", source="submit_job", times=3)
    trial.start()
    return succeeds()


@scenario("function times out", "launch StartExecution")
def launch_times_out(trial: Trial) -> Expected:
    trial.rule(hold(40), "states:StartExecution", source="launch", times=3)
    trial.start()
    return succeeds()
