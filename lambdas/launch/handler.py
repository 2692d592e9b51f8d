"""Entry point of the launch function."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from lambdas.environment import CLIENT_CONFIG, BackendsEnvironment
from lambdas.launch.logic import Launch
from lambdas.launch.vams import Vams
from lambdas.live_view import LookedIntoEnvironment
from lambdas.observability import Json, observed
from lambdas.simulators import SimulatingEnvironment


class LaunchEnvironment(BackendsEnvironment, SimulatingEnvironment, LookedIntoEnvironment):
    """The function's environment variables."""

    pipeline_arn: Annotated[str, Field(alias="GAITWAY_PIPELINE_ARN", min_length=1)]
    """The inner state machine."""


@cache
def _launch() -> Launch:
    environment = LaunchEnvironment.read()
    stepfunctions = boto3.client("stepfunctions", config=CLIENT_CONFIG)
    return Launch(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        callers=TaskTokens(stepfunctions),
        stepfunctions=stepfunctions,
        adapter=Vams(boto3.client("s3", config=CLIENT_CONFIG)),
        pipeline_arn=environment.pipeline_arn,
        simulators=environment.simulators,
        backends=environment.backends,
        allow_live_view=environment.allow_live_view,
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Handle a request."""
    del context
    return _launch().handle(event)
