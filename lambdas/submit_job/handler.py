"""Entry point of the submit_job function."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from gaitway.aws.run_table import RunTable
from gaitway.contracts.pipeline import SubmitJobEvent
from lambdas.environment import CLIENT_CONFIG
from lambdas.job_sizes import SizedEnvironment
from lambdas.observability import Json, observed
from lambdas.submit_job.jobs import Jobs, Target
from lambdas.submit_job.submit import SubmitJob


class SubmitJobEnvironment(SizedEnvironment):
    """What this function is given."""

    job_queue: Annotated[str, Field(alias="GAITWAY_JOB_QUEUE", min_length=1)]
    """Name or ARN."""
    job_definition: Annotated[str, Field(alias="GAITWAY_JOB_DEFINITION", min_length=1)]
    """Name or ARN; its command takes the parameter `run_id`."""
    multi_node_job_queue: Annotated[str, Field(alias="GAITWAY_MULTI_NODE_JOB_QUEUE", min_length=1)]
    """Name or ARN."""
    multi_node_job_definition: Annotated[str, Field(alias="GAITWAY_MULTI_NODE_JOB_DEFINITION", min_length=1)]
    """Name or ARN; has one range of nodes, without an end, and takes the same parameter."""


@cache
def _submit_job() -> SubmitJob:
    environment = SubmitJobEnvironment.read()
    return SubmitJob(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        jobs=Jobs(
            boto3.client("batch", config=CLIENT_CONFIG),
            single_node=Target(environment.job_queue, environment.job_definition),
            multi_node=Target(environment.multi_node_job_queue, environment.multi_node_job_definition),
            sizes=environment.job_sizes,
        ),
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """See to it that the run has a job; the job answers the task's token, not this function."""
    del context
    _submit_job().handle(SubmitJobEvent.model_validate(event))
    return {}
