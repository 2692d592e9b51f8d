"""Entry point of the register_with_vams function: the provider of the custom resource `Custom::VamsPipeline`."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from gaitway.contracts.limits import REGISTRATION_CALL_SECONDS
from lambdas.custom_resource import answer
from lambdas.observability import Json, logger, observed
from lambdas.register_with_vams.event import RegistrationEvent
from lambdas.register_with_vams.logic import Registrar, RegistrationError

_NOTHING = "not-registered"
"""Id of a resource that could not be created. CloudFormation deletes it next: an entry in VAMS under the pipeline's
name belongs to someone else."""


@cache
def _registrar() -> Registrar:
    # A call that times out continues in VAMS: repeated at once, two of them would change one list.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=REGISTRATION_CALL_SECONDS)
    return Registrar(boto3.client("lambda", config=config))


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Register or remove a pipeline, and answer CloudFormation."""
    request = RegistrationEvent.model_validate(event)
    pipeline = request.resource_properties.pipeline_id
    try:
        if request.request_type != "Delete":
            _registrar().register(request)
        elif request.physical_resource_id != _NOTHING:
            _registrar().remove(request)
    except RegistrationError as error:
        answer(request, _after_failure(request), failure=str(error))
    except Exception as error:
        # Without an answer, CloudFormation waits until the resource's own timeout.
        logger.exception("not registered")
        why = f"{type(error).__name__}: {error}. The log of {context.function_name} says more."
        answer(request, _after_failure(request), failure=why)
    else:
        answer(request, pipeline)
    return {}


def _after_failure(request: RegistrationEvent) -> str:
    """Return the resource's id when its request has failed: the same as before."""
    return request.physical_resource_id or _NOTHING
