"""Entry point of the handle_failure function."""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from gaitway.aws.metrics import Metrics
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.compute.backends import jobs_of
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ExecutionEndedEvent, HandleFailureEvent
from lambdas.environment import CLIENT_CONFIG, IMPATIENT_CLIENT_CONFIG, PublishingEnvironment
from lambdas.handle_failure.ended import failure_of
from lambdas.handle_failure.logic import HandleFailure
from lambdas.observability import Json, observed


class HandleFailureEnvironment(PublishingEnvironment):
    """What this function is given."""

    efs_root: Annotated[Path | None, Field(alias="GAITWAY_EFS_ROOT", strict=False)] = None
    """Where EFS is mounted; None in TellCaller, which has to work where it cannot be."""
    synchronised_runs: Annotated[str | None, Field(alias="GAITWAY_SYNCHRONISED_RUNS")] = None
    """Prefix in S3 of the directories of runs on SageMaker, where they are not on EFS."""


@cache
def _handle_failure() -> HandleFailure:
    environment = HandleFailureEnvironment.read()
    return HandleFailure(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        callers=TaskTokens(boto3.client("stepfunctions", config=CLIENT_CONFIG)),
        jobs=jobs_of(partial(boto3.client, config=IMPATIENT_CLIENT_CONFIG), variables=os.environ),
        s3=boto3.client("s3", config=IMPATIENT_CLIENT_CONFIG),
        metrics=Metrics(boto3.client("cloudwatch", config=IMPATIENT_CLIENT_CONFIG), environment.metrics_namespace),
        efs_root=environment.efs_root,
        synchronised_runs=S3Uri.parse(environment.synchronised_runs) if environment.synchronised_runs else None,
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """End a run that failed; answer with the error and cause that its execution ends with.

    The inner machine calls with a `HandleFailureEvent`, the rule on executions that ended with an
    `ExecutionEndedEvent`.
    """

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    handle_failure = _handle_failure()
    if "ended_execution" in event:
        ended = ExecutionEndedEvent.receive(event).ended_execution
        stepfunctions = boto3.client("stepfunctions", config=IMPATIENT_CLIENT_CONFIG)
        failure = handle_failure.complete(failure_of(ended, stepfunctions), seconds_left)
    else:
        failure = handle_failure.handle(HandleFailureEvent.receive(event), seconds_left)
    return {"error": failure.error, "cause": failure.cause}
