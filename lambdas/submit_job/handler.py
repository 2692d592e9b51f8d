"""Entry point of the submit_job function."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from gaitway.aws.run_table import RunTable
from gaitway.compute.backends import submitter_of
from gaitway.compute.targets import TargetVariables
from gaitway.contracts.pipeline import SubmitJobEvent
from lambdas.environment import CLIENT_CONFIG, BackendsEnvironment
from lambdas.observability import Json as JsonObject
from lambdas.observability import observed
from lambdas.submit_job.logic import SubmitJob


class SubmitJobEnvironment(BackendsEnvironment, TargetVariables):
    """The function's environment variables. Each back end reads where its jobs go from its own."""

    training_job: Annotated[str | None, Field(alias="GAITWAY_TRAINING_JOB")] = None
    """See `gaitway.compute.sagemaker`."""


@cache
def _submit_job() -> SubmitJob:
    environment = SubmitJobEnvironment.read()
    return SubmitJob(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        jobs=submitter_of(partial(boto3.client, config=CLIENT_CONFIG), environment.backends, os.environ),
    )


@observed
def handler(event: JsonObject, context: LambdaContext) -> JsonObject:
    """Make sure that the run has a job; the job answers the task's token, not this function."""
    del context
    _submit_job().handle(SubmitJobEvent.receive(event))
    return {}
