"""Entry point of the build_image function: the provider of the custom resource `Custom::GaitwayImage`.

A build takes longer than a call may: before its time is over, a call invokes the function again to continue waiting.
"""

from __future__ import annotations

import json
import time
from functools import cache

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.build_image.event import ImageEvent
from lambdas.build_image.known_failures import cure_of
from lambdas.build_image.logic import BuildFailedError, ImageBuilder
from lambdas.custom_resource import answer
from lambdas.environment import CLIENT_CONFIG
from lambdas.observability import Json, logger, observed


@cache
def _builder() -> ImageBuilder:
    return ImageBuilder(
        boto3.client("codebuild", config=CLIENT_CONFIG),
        boto3.client("ecr", config=CLIENT_CONFIG),
        boto3.client("logs", config=CLIENT_CONFIG),
        time.sleep,
    )


@observed
def handler(event: Json, context: LambdaContext) -> Json:
    """Make sure that the image exists, and answer CloudFormation."""
    request = ImageEvent.model_validate(event)
    try:
        if request.request_type == "Delete":
            # The repository deletes its images itself.
            answer(request, request.image)
        elif (build_id := _unfinished_build(request, context)) is not None:
            boto3.client("lambda", config=CLIENT_CONFIG).invoke(
                FunctionName=context.function_name,
                InvocationType="Event",
                Payload=json.dumps(event | {"BuildId": build_id}).encode(),
            )
        else:
            answer(request, request.image, data={"ImageDigest": _digest(request)})
    except BuildFailedError as error:
        answer(request, request.image, failure=str(error), last_lines=error.last_lines)
    except Exception as error:
        # Without an answer CloudFormation waits for an hour.
        logger.exception("no image")
        cure = cure_of([str(error)]) or f"the log of {context.function_name} says more"
        why = f"{type(error).__name__}: {error}. What to do: {cure}."
        answer(request, request.image, failure=why)
    return {}


def _unfinished_build(request: ImageEvent, context: LambdaContext) -> str | None:
    """Build; return the build if it takes longer than this call may."""
    builder = _builder()
    build_id = request.build_id or builder.begin(request)
    if build_id is None or builder.wait(build_id, lambda: context.get_remaining_time_in_millis() / 1000):
        return None
    return build_id


def _digest(request: ImageEvent) -> str:
    digest = _builder().digest(request)
    if digest is None:
        properties = request.resource_properties
        raise BuildFailedError(
            f"The build ended well, but {properties.repository_name} has no image {properties.image_tag}: look into "
            f"the log of CodeBuild project {properties.project_name}, and deploy again."
        )
    return digest
