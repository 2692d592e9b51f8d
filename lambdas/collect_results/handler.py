"""Entry point of the collect_results function."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.pipeline import CollectResultsEvent
from gaitway.contracts.run import to_json
from lambdas.collect_results.collect import CollectResults
from lambdas.environment import CLIENT_CONFIG, IMPATIENT_CLIENT_CONFIG, Environment
from lambdas.observability import Json, observed


@cache
def _collect_results() -> CollectResults:
    environment = Environment.read()
    return CollectResults(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        callers=TaskTokens(boto3.client("stepfunctions", config=CLIENT_CONFIG)),
        s3=boto3.client("s3", config=CLIENT_CONFIG),
        cloudwatch=boto3.client("cloudwatch", config=IMPATIENT_CLIENT_CONFIG),
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Check the run's outputs, and tell its caller that it succeeded."""
    del context
    return to_json(_collect_results().handle(CollectResultsEvent.model_validate(event)))
