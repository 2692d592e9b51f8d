"""Entry point of the construct_run function."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from gaitway.aws.run_table import RunTable
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.run import to_json
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from lambdas.construct_run.packages import PackagesEnvironment, pinned_images
from lambdas.environment import CLIENT_CONFIG, SizedEnvironment
from lambdas.live_view import LookedIntoEnvironment
from lambdas.observability import Json, observed
from lambdas.simulators import SimulatingEnvironment


class ConstructRunEnvironment(SizedEnvironment, SimulatingEnvironment, PackagesEnvironment, LookedIntoEnvironment):
    """The function's environment variables."""


@cache
def _construct_run() -> ConstructRun:
    environment = ConstructRunEnvironment.read()
    return ConstructRun(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        inputs=Inputs(boto3.client("s3", config=CLIENT_CONFIG)),
        sizes=environment.sizes,
        simulators=environment.simulators,
        images=pinned_images(environment.pinned_simulators),
        allow_live_view=environment.allow_live_view,
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Resolve a request, and write its run's specification into the record."""
    del context
    return to_json(_construct_run().handle(ConstructRunEvent.receive(event)))
