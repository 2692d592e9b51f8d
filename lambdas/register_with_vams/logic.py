"""Have VAMS's own function register a pipeline and its workflow, or remove them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.run import to_json
from lambdas.inactive import is_waking
from lambdas.observability import Json, logger

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_lambda.type_defs import InvocationResponseTypeDef

    from lambdas.register_with_vams.event import RegistrationEvent

_NO_ADDRESS = "..."
"""VAMS's function answers CloudFormation at the address in its event. Ours answers; this is what CDK's own provider
framework, under which VAMS calls that function, puts there: aws-cdk-lib, custom-resources/provider-framework."""

_WAKING_ATTEMPTS = 24
_WAKING_PAUSE_SECONDS = 5.0


class RegistrationError(Exception):
    """VAMS did not register the pipeline; the message says why, with VAMS's message if there is one."""


class Registrar:
    """The register_with_vams function.

    Args:
        lambda_client: A Lambda client that waits as long as VAMS may take.
        sleep: Waits a number of seconds.
    """

    def __init__(self, lambda_client: LambdaClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._lambda = lambda_client
        self._sleep = sleep

    def register(self, event: RegistrationEvent) -> None:
        """Create or update the pipeline in VAMS.

        Raises:
            RegistrationError: VAMS did not register it.
        """
        # For VAMS, an update of a missing pipeline creates it; creating an existing one is an error, and it exists if a
        # call is repeated, or an earlier deployment has left it.
        self._import(event, "Update")

    def remove(self, event: RegistrationEvent) -> None:
        """Remove pipeline and workflow from VAMS; if that fails, only log it.

        VAMS may be deleted already, and a remaining entry in its list is no reason to keep the stack.
        """
        try:
            answer = self._import(event, "Delete")
        except RegistrationError as error:
            pipeline = event.resource_properties.pipeline_id
            logger.warning("%s may still be in VAMS, remove pipeline and workflow there: %s", pipeline, error)
        else:
            logger.info("VAMS: %s", answer)

    def _import(self, event: RegistrationEvent, request_type: str) -> Json:
        """Call VAMS's function with the event that CloudFormation would send it; return its answer."""
        name = event.resource_properties.import_function_name
        properties = to_json(event.resource_properties)
        payload = {
            "RequestType": request_type,
            "RequestId": event.request_id,
            "StackId": event.stack_id,
            "LogicalResourceId": event.logical_resource_id,
            "PhysicalResourceId": event.resource_properties.pipeline_id,
            "ResponseURL": _NO_ADDRESS,
            "ResourceProperties": properties,
            # VAMS compares with its own entries, and checks here only whether the workflow's name has changed.
            "OldResourceProperties": properties,
        }
        try:
            response = self._call(name, json.dumps(payload).encode())
            answer = json.loads(response["Payload"].read() or b"null")
        except self._lambda.exceptions.ResourceNotFoundException:
            raise RegistrationError(
                f"vamsImportFunctionName is {name!r}, but this function does not exist in this account and region: "
                "look the name up in the Lambda console (it holds importGlobal), or turn "
                "autoRegisterWithVAMS off"
            ) from None
        except (ClientError, BotoCoreError, ValueError) as error:
            raise RegistrationError(f"VAMS's function {name} could not be called: {error}") from error
        said = _refusal(answer, is_error="FunctionError" in response)
        if said is not None:
            raise RegistrationError(f"VAMS's function {name} refused {properties['pipelineId']}: {said}")
        return answer if isinstance(answer, dict) else {}

    def _call(self, name: str, payload: bytes) -> InvocationResponseTypeDef:
        """Call a function; Lambda may have to activate it first, if it was not called since the last deployment."""
        for _ in range(_WAKING_ATTEMPTS):
            try:
                return self._lambda.invoke(FunctionName=name, Payload=payload)
            except ClientError as error:
                if not is_waking(error):
                    raise
                logger.warning("%s is called again in %s seconds: %s", name, _WAKING_PAUSE_SECONDS, error)
            self._sleep(_WAKING_PAUSE_SECONDS)
        return self._lambda.invoke(FunctionName=name, Payload=payload)


def _refusal(answer: Any, *, is_error: bool) -> str | None:  # noqa: ANN401 - whatever VAMS sends
    """Find out why VAMS refused: it raises, or answers with a status as HTTP has them; None if it did not."""
    if not isinstance(answer, dict):
        return str(answer) if is_error else None
    if is_error:
        return str(answer.get("errorMessage", answer))
    if answer.get("statusCode", 200) == 200:
        return None
    body = answer.get("body")
    try:
        return str(json.loads(str(body))["error"])
    except (ValueError, TypeError, KeyError):
        return str(body)
