"""A training job of SageMaker is lost, or cannot be submitted for a while."""

from __future__ import annotations

import json

from tests.faults.actions import before, cut, cut_after, internal_error, throttle
from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.proxy import Action, Answer, Exchange
from tests.faults.scenarios.jobs import ATTEMPTS, in_every_attempt, submitted
from tests.faults.trial import Expected, Trial, fails, succeeds

SUBMISSION = "batch:submitservicejob"
_WAIT_SECONDS = 600


def _start(trial: Trial, *acts: Act, **plan: object) -> None:
    trial.compute = {"backend": "sagemaker"}
    trial.plan(*acts, **plan)
    trial.start()


@scenario("SageMaker: container killed -9", "simulate")
def container_of_sagemaker_is_killed(trial: Trial) -> Expected:
    _start(trial, Act("kill_runner", trial.moment(), attempts=(1,)))
    return succeeds(attempts=2)


@scenario("SageMaker: container killed -9 in every attempt", "simulate")
def container_of_sagemaker_is_killed_in_every_attempt(trial: Trial) -> Expected:
    _start(trial, *in_every_attempt("kill_runner", trial))
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario("SageMaker: Spot instance reclaimed", "simulate")
def spot_instance_of_sagemaker_is_reclaimed(trial: Trial) -> Expected:
    trial.rule(_on_spot(trial), SUBMISSION, source="submit_job")
    _start(trial, pace_seconds=0.4)
    trial.wait_for_work(trial.moment())
    trial.now()
    _reclaim(trial)
    return succeeds(attempts=2)


@scenario("SageMaker: Spot instance reclaimed", "start or upload")
def spot_instance_of_sagemaker_is_reclaimed_during_a_call(trial: Trial) -> Expected:
    trial.rule(_on_spot(trial), SUBMISSION, source="submit_job")
    operation, key = trial.choose(("dynamodb:GetItem", ""), ("dynamodb:UpdateItem", ""), ("s3:PutObject", "results"))
    trial.rule(before(lambda: _reclaim(trial)), operation, source="job", key=key, times=1)
    _start(trial)
    return succeeds(attempts=2)


@scenario("SageMaker: function is refused twice", "submit_job submitservicejob")
def training_job_cannot_be_submitted_for_a_while(trial: Trial) -> Expected:
    trial.rule(trial.choose(internal_error, throttle, cut, cut_after), SUBMISSION, source="submit_job", times=2)
    _start(trial)
    return succeeds(attempts=1)


def _on_spot(trial: Trial) -> Action:
    """Submit what a deployment with `useSpot` submits."""

    def act(exchange: Exchange) -> Answer:
        request = json.loads(exchange.body)
        job = json.loads(request["serviceRequestPayload"])
        stopping = job["StoppingCondition"]
        stopping["MaxWaitTimeInSeconds"] = stopping["MaxRuntimeInSeconds"] + _WAIT_SECONDS
        job["EnableManagedSpotTraining"] = True
        job["Environment"]["GAITWAY_MANAGED_SPOT"] = "true"
        request["serviceRequestPayload"] = json.dumps(job)
        return submitted(trial, trial.world.plane.batch.submit_service_job(**request))

    return act


def _reclaim(trial: Trial) -> None:
    job_id = trial.job_id().partition("/")[2]
    job = trial.world.plane.batch.describe_service_job(jobId=job_id)
    trial.world.reclaim(job["latestAttempt"]["serviceResourceId"]["value"].rpartition("/")[2])
