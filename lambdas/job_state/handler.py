"""Entry point of the job_state function."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.compute.backends import job_of_event, jobs_of
from lambdas.environment import CLIENT_CONFIG, Environment
from lambdas.job_state.events import CallerEvent
from lambdas.job_state.logic import JobState
from lambdas.observability import Json, observed


class JobStateEnvironment(Environment):
    """The function's environment variables."""

    asset_bucket: Annotated[str, Field(alias="GAITWAY_ASSET_BUCKET", min_length=1)]
    """The bucket in which our own workflow's runs write."""


@cache
def _job_state() -> JobState:
    environment = JobStateEnvironment.read()
    stepfunctions = boto3.client("stepfunctions", config=CLIENT_CONFIG)
    return JobState(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        task_tokens=TaskTokens(stepfunctions),
        jobs=jobs_of(partial(boto3.client, config=CLIENT_CONFIG), variables=os.environ),
        stepfunctions=stepfunctions,
        asset_bucket=environment.asset_bucket,
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Handle the end of a job, as its service sends it, or `{"ended_caller": {...}}`; return whether it ended a run."""
    del context
    job_state = _job_state()
    if "ended_caller" in event:
        return {"told": job_state.caller_ended(CallerEvent.model_validate(event).ended_caller)}
    job = job_of_event(event)
    return {"told": job is not None and job_state.job_ended(job)}
