"""Have VAMS's own function register a pipeline and its workflow, or remove them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.run import to_json
from lambdas.observability import Json, logger

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

    from lambdas.register_with_vams.event import RegistrationEvent

_NO_ADDRESS = "..."
"""VAMS's function answers CloudFormation at the address in its event. Ours answers; this is what CDK's own provider
framework, under which VAMS calls that function, puts there: aws-cdk-lib, custom-resources/provider-framework."""


class RegistrationError(Exception):
    """VAMS did not register the pipeline; the message says why, in VAMS's words where it gave any."""


class Registrar:
    """The register_with_vams function.

    Args:
        lambda_client: A Lambda client that waits as long as VAMS may take.
    """

    def __init__(self, lambda_client: LambdaClient) -> None:
        self._lambda = lambda_client

    def register(self, event: RegistrationEvent) -> None:
        """Let VAMS have the pipeline as it is described, whether it had one of that name or not.

        Raises:
            RegistrationError: It has not.
        """
        # To VAMS, an update of what is not there is a creation; a creation of what is there is an error, and it is
        # there where a call is repeated, or an earlier deployment has left it.
        self._import(event, "Update")

    def remove(self, event: RegistrationEvent) -> None:
        """Let VAMS forget pipeline and workflow; where that fails, only log it.

        VAMS may be gone already, and a stack that does not go because of an entry in a list helps nobody.
        """
        try:
            answer = self._import(event, "Delete")
        except RegistrationError as error:
            pipeline = event.resource_properties.pipeline_id
            logger.warning("%s may stand in VAMS still, remove pipeline and workflow there: %s", pipeline, error)
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
            # VAMS compares with what it has, and looks here only whether the workflow's name is another.
            "OldResourceProperties": properties,
        }
        try:
            response = self._lambda.invoke(FunctionName=name, Payload=json.dumps(payload).encode())
            answer = json.loads(response["Payload"].read() or b"null")
        except self._lambda.exceptions.ResourceNotFoundException:
            raise RegistrationError(
                f"vamsImportFunctionName is {name!r}, and there is no such function in this account and region: look "
                "the name up in the Lambda console (it holds importGlobal), or turn "
                "autoRegisterWithVAMS off"
            ) from None
        except (ClientError, BotoCoreError, ValueError) as error:
            raise RegistrationError(f"VAMS's function {name} could not be called: {error}") from error
        said = _refusal(answer, is_error="FunctionError" in response)
        if said is not None:
            raise RegistrationError(f"VAMS's function {name} refused {properties['pipelineId']}: {said}")
        return answer if isinstance(answer, dict) else {}


def _refusal(answer: Any, *, is_error: bool) -> str | None:  # noqa: ANN401 - whatever VAMS sends
    """Find out why VAMS refused: it raises, or answers with a status as HTTP has them; None where it did not."""
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
