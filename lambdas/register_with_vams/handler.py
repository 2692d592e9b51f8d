"""Entry point of the register_with_vams function: the provider of the custom resource `Custom::VamsPipeline`."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from lambdas.custom_resource import answer
from lambdas.observability import Json, logger, observed
from lambdas.register_with_vams.event import RegistrationEvent
from lambdas.register_with_vams.register import Registrar, RegistrationError

_CALL_SECONDS = 240.0
"""VAMS calls four functions of its own in turn. Less than a call of this function lasts."""

_NOTHING = "not-registered"
"""What a resource is that could not be created. CloudFormation deletes it next: what VAMS has under the name of the
pipeline is somebody else's."""


@cache
def _registrar() -> Registrar:
    # A call that times out goes on at VAMS's: repeated at once, two of them would change one list.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=_CALL_SECONDS)
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
        # Without an answer CloudFormation waits until the resource's own time is over.
        logger.exception("not registered")
        why = f"{type(error).__name__}: {error}. The log of {context.function_name} says more."
        answer(request, _after_failure(request), failure=why)
    else:
        answer(request, pipeline)
    return {}


def _after_failure(request: RegistrationEvent) -> str:
    """Say what the resource is when its request has failed: as before."""
    return request.physical_resource_id or _NOTHING
