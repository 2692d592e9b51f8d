"""Entry point of the handle_failure function."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.pipeline import HandleFailureEvent
from lambdas.environment import CLIENT_CONFIG, Environment
from lambdas.handle_failure.handle import HandleFailure
from lambdas.observability import Json, observed


@cache
def _handle_failure() -> HandleFailure:
    environment = Environment.read()
    return HandleFailure(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        callers=TaskTokens(boto3.client("stepfunctions", config=CLIENT_CONFIG)),
        batch=boto3.client("batch", config=CLIENT_CONFIG),
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """End a run that failed; answer with the error and cause that its execution ends with."""
    del context
    failure = _handle_failure().handle(HandleFailureEvent.model_validate(event))
    return {"error": failure.error, "cause": failure.cause}
