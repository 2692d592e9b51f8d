"""Entry point of the heartbeat function."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from pydantic import Field, Json

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from lambdas.environment import CLIENT_CONFIG, Environment
from lambdas.heartbeat.heartbeat import THREADS, Heartbeat
from lambdas.observability import Json as JsonObject
from lambdas.observability import observed


class HeartbeatEnvironment(Environment):
    """What this function is given."""

    handle_failure: Annotated[str, Field(alias="GAITWAY_HANDLE_FAILURE_FUNCTION", min_length=1)]
    """Name or ARN."""
    job_queues: Annotated[Json[list[str]], Field(alias="GAITWAY_JOB_QUEUES")]
    """ARNs."""


@cache
def _heartbeat() -> Heartbeat:
    environment = HeartbeatEnvironment.read()
    config = CLIENT_CONFIG.merge(Config(max_pool_connections=THREADS))
    stepfunctions = boto3.client("stepfunctions", config=config)
    return Heartbeat(
        runs=RunTable(boto3.client("dynamodb", config=config), environment.run_table),
        task_tokens=TaskTokens(stepfunctions),
        batch=boto3.client("batch", config=config),
        stepfunctions=stepfunctions,
        lambda_=boto3.client("lambda", config=config),
        cloudwatch=boto3.client("cloudwatch", config=config),
        handle_failure=environment.handle_failure,
        job_queues=environment.job_queues,
    )


@observed
def handler(event: JsonObject, context: LambdaContext) -> JsonObject:
    """Look after every run that goes on; the schedule's event says nothing."""
    del event, context
    return {"runs": _heartbeat().handle()}
