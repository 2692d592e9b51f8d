"""The job does not reach AWS, or AWS refuses it."""

from __future__ import annotations

from typing import Any

from tests.faults.actions import cut, cut_after, deny, hold, internal_error, late, skewed, throttle
from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.trial import Expected, Trial, fails, succeeds

AILMENTS = (internal_error, throttle, cut, cut_after)


def _for_a_while(trial: Trial, service: str, **fields: object) -> None:
    trial.rule(trial.choose(*AILMENTS), f"{service}:*", source="job", seconds=trial.choose(2.0, 4.0, 6.0), **fields)


def _in_silence(trial: Trial, attempts: int = 1) -> dict[str, Any]:
    """Expect the caller's result only after a missing heartbeat in each of several attempts."""
    return {"told_seconds": trial.silent_seconds * attempts}


@scenario("S3 ill for a while", "simulate", "train")
def s3_ill_while_checkpoints_are_uploaded(trial: Trial) -> Expected:
    _for_a_while(trial, "s3", key="checkpoints/", skip=trial.random.randrange(3))
    trial.start()
    return succeeds(attempts=1)


@scenario("S3 ill for a while", "prepare", "evaluate")
def s3_ill_while_the_policy_is_fetched(trial: Trial) -> Expected:
    _for_a_while(trial, "s3")
    trial.start()
    return succeeds(attempts=1)


@scenario("S3 ill for a while", "upload")
def s3_ill_while_results_are_uploaded(trial: Trial) -> Expected:
    _for_a_while(trial, "s3", key=trial.choose("metrics.csv", "results.json", "manifest.json"))
    trial.start()
    return succeeds(attempts=1)


@scenario("S3 loses one answer", "upload", weight=2)
def s3_loses_an_answer(trial: Trial) -> Expected:
    action = trial.choose(cut, cut_after, hold(2), late(2))
    trial.rule(action, "s3:PutObject", "s3:HeadObject", source="job", skip=trial.random.randrange(6), times=1)
    trial.start()
    return succeeds(attempts=1)


@scenario("S3 refuses the job for good", "upload")
def s3_refuses_the_job(trial: Trial) -> Expected:
    trial.rule(trial.choose(deny, internal_error), "s3:PutObject", source="job")
    trial.start()
    return fails("ArtifactError", "States.HeartbeatTimeout", **_in_silence(trial, 3))


@scenario("Step Functions ill for a while", "start")
def states_ill_at_the_start(trial: Trial) -> Expected:
    _for_a_while(trial, "states")
    trial.start()
    return succeeds(attempts=1)


@scenario("Step Functions ill for a while", "simulate")
def states_ill_in_the_middle(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.8)
    _for_a_while(trial, "states", skip=2)
    trial.start()
    return succeeds(attempts=1)


@scenario("Step Functions ill for a while", "report", weight=2)
def states_ill_as_the_outcome_is_reported(trial: Trial) -> Expected:
    _for_a_while(trial, "states", key="output")
    trial.start()
    return succeeds(attempts=1)


@scenario("Step Functions ill for a while", "report")
def states_ill_as_a_failure_is_reported(trial: Trial) -> Expected:
    trial.plan(Act("give_up", trial.moment(), value=2))
    trial.rule(trial.choose(*AILMENTS), "states:SendTaskFailure", source="job", seconds=trial.choose(2.0, 4.0, 6.0))
    trial.start()
    return fails("RequestError", attempts=1)


@scenario("Step Functions unreachable for the job for good", "simulate")
def states_unreachable_for_good(trial: Trial) -> Expected:
    trial.plan(pace_seconds=10)
    trial.rule(trial.choose(cut, internal_error), "states:*", source="job", skip=trial.choose(1, 2))
    trial.start()
    # The runner gives up after several missed heartbeats: its last attempt may do so just before the state does.
    return fails("InterruptedRunError", "States.HeartbeatTimeout", **_in_silence(trial))


@scenario("Step Functions unreachable for the job for good", "report")
def success_cannot_be_reported(trial: Trial) -> Expected:
    trial.rule(trial.choose(cut, internal_error), "states:SendTaskSuccess", source="job")
    trial.start()
    return fails("States.HeartbeatTimeout", "InterruptedRunError", **_in_silence(trial, 3))


@scenario("DynamoDB ill for a while", "start")
def dynamodb_ill_at_the_start(trial: Trial) -> Expected:
    _for_a_while(trial, "dynamodb")
    trial.start()
    return succeeds(attempts=1)


@scenario("DynamoDB ill for a while", "simulate", weight=2)
def dynamodb_ill_in_the_middle(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.6)
    _for_a_while(trial, "dynamodb", skip=trial.choose(8, 10, 12))
    trial.start()
    return succeeds(attempts=1)


@scenario("DynamoDB unreachable for the job for good", "start")
def dynamodb_unreachable_from_the_start(trial: Trial) -> Expected:
    trial.rule(trial.choose(cut, internal_error, deny), "dynamodb:*", source="job")
    trial.start()
    return fails("InterruptedRunError", "States.HeartbeatTimeout", **_in_silence(trial, 3))


@scenario("DynamoDB unreachable for the job for good", "simulate")
def dynamodb_unreachable_in_the_middle(trial: Trial) -> Expected:
    trial.plan(pace_seconds=10)
    trial.rule(trial.choose(cut, internal_error), "dynamodb:*", source="job", skip=12)
    trial.start()
    return fails("InterruptedRunError", "States.HeartbeatTimeout", **_in_silence(trial))


@scenario("everything unreachable for a while", "simulate", weight=2)
def network_down_for_a_while(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.6)
    trial.rule(trial.choose(cut, hold(3)), source="job", seconds=trial.choose(3.0, 6.0), skip=trial.choose(8, 12))
    trial.start()
    return succeeds()


@scenario("signatures refused for a wrong clock, for a while", "simulate")
def signatures_refused_for_a_while(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.6)
    trial.rule(skewed, source="job", seconds=trial.choose(2.0, 4.0), skip=trial.choose(0, 8, 12))
    trial.start()
    return succeeds()
