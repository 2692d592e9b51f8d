"""Entry point of the heartbeat function."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from pydantic import Field, Json

from gaitway.aws.metrics import Metrics
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.compute.backends import jobs_of
from gaitway.contracts.backends import Backend
from lambdas.environment import CLIENT_CONFIG, PublishingEnvironment
from lambdas.heartbeat.logic import THREADS, Heartbeat
from lambdas.observability import Json as JsonObject
from lambdas.observability import observed


class HeartbeatEnvironment(PublishingEnvironment):
    """The function's environment variables."""

    handle_failure: Annotated[str, Field(alias="GAITWAY_HANDLE_FAILURE_FUNCTION", min_length=1)]
    """Name or ARN."""
    job_queues: Annotated[Json[list[str]], Field(alias="GAITWAY_JOB_QUEUES")]
    """ARNs."""
    training_queues: Annotated[Json[list[str]], Field(alias="GAITWAY_TRAINING_QUEUES")] = Field(default_factory=list)
    """ARNs of the queues of service jobs."""

    @property
    def queues(self) -> dict[Backend, list[str]]:
        """The queues of each back end that has some."""
        return {"batch": self.job_queues, "sagemaker": self.training_queues}


@cache
def _heartbeat() -> Heartbeat:
    environment = HeartbeatEnvironment.read()
    config = CLIENT_CONFIG.merge(Config(max_pool_connections=THREADS))
    stepfunctions = boto3.client("stepfunctions", config=config)
    return Heartbeat(
        runs=RunTable(boto3.client("dynamodb", config=config), environment.run_table),
        task_tokens=TaskTokens(stepfunctions),
        jobs=jobs_of(partial(boto3.client, config=config), environment.queues, os.environ),
        stepfunctions=stepfunctions,
        lambda_=boto3.client("lambda", config=config),
        metrics=Metrics(boto3.client("cloudwatch", config=config), environment.metrics_namespace),
        handle_failure=environment.handle_failure,
    )


@observed
def handler(event: JsonObject, context: LambdaContext) -> JsonObject:
    """Check every active run; the schedule's event has no content."""
    del event, context
    return {"runs": _heartbeat().handle()}
