"""Entry point of the submit_job function."""

from __future__ import annotations

from functools import cache, partial
from typing import Annotated

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field, Json

from gaitway.aws.run_table import RunTable
from gaitway.compute.backends import submitter_of
from gaitway.compute.targets import Queues, Target, Targets
from gaitway.contracts.pipeline import SubmitJobEvent
from lambdas.environment import CLIENT_CONFIG, SizedEnvironment
from lambdas.observability import Json as JsonObject
from lambdas.observability import observed
from lambdas.submit_job.logic import SubmitJob


class SubmitJobEnvironment(SizedEnvironment):
    """The function's environment variables."""

    job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_JOB_QUEUES")]
    job_definition: Annotated[str, Field(alias="GAITWAY_JOB_DEFINITION", min_length=1)]
    """Its name: without a revision, the newest one that is active is taken. Its command takes the parameter
    `run_id`."""
    multi_node_job_queues: Annotated[Json[Queues], Field(alias="GAITWAY_MULTI_NODE_JOB_QUEUES")]
    job_tags: Annotated[Json[dict[str, str]], Field(alias="GAITWAY_JOB_TAGS")]
    multi_node_job_definition: Annotated[str, Field(alias="GAITWAY_MULTI_NODE_JOB_DEFINITION", min_length=1)]
    """Its name, also without a revision; has one range of nodes, without an end, and takes the same parameter."""

    @property
    def targets(self) -> Targets:
        """The queue that jobs are submitted to."""
        return Targets(
            single_node=Target(self.job_queues, self.job_definition),
            multi_node=Target(self.multi_node_job_queues, self.multi_node_job_definition),
            sizes=self.job_sizes,
            tags=self.job_tags,
        )


@cache
def _submit_job() -> SubmitJob:
    environment = SubmitJobEnvironment.read()
    return SubmitJob(
        runs=RunTable(boto3.client("dynamodb", config=CLIENT_CONFIG), environment.run_table),
        jobs=submitter_of(partial(boto3.client, config=CLIENT_CONFIG), environment.targets),
    )


@observed
def handler(event: JsonObject, context: LambdaContext) -> JsonObject:
    """Make sure that the run has a job; the job answers the task's token, not this function."""
    del context
    _submit_job().handle(SubmitJobEvent.receive(event))
    return {}
