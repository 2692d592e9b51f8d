"""Entry point of the collect_results function."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from gaitway.aws.metrics import Metrics
from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.pipeline import CollectResultsEvent
from gaitway.contracts.run import to_json
from lambdas.collect_results.logic import CollectResults
from lambdas.collect_results.vams import VamsMetadata
from lambdas.environment import CLIENT_CONFIG, IMPATIENT_CLIENT_CONFIG, PublishingEnvironment
from lambdas.observability import Json, observed


@cache
def _collect_results() -> CollectResults:
    environment = PublishingEnvironment.read()
    s3 = boto3.client("s3", config=CLIENT_CONFIG)
    return CollectResults(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        callers=TaskTokens(boto3.client("stepfunctions", config=CLIENT_CONFIG)),
        s3=s3,
        metrics=Metrics(boto3.client("cloudwatch", config=IMPATIENT_CLIENT_CONFIG), environment.metrics_namespace),
        sinks=(VamsMetadata(s3),),
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Run one of the steps after a job that succeeded."""
    del context
    return to_json(_collect_results().handle(CollectResultsEvent.receive(event)))
