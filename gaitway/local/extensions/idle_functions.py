"""Functions that were not called for weeks: Lambda makes them Inactive, and refuses the call that wakes them.

docs.aws.amazon.com/lambda/latest/dg/functions-states.html. Tests cannot wait so long: a tag makes a function inactive.
"""

import logging
import threading
import time
from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import Any, NamedTuple

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc
from ministack.services import stepfunctions as states

from gaitway.local.services import Json, Response

TAG = "gaitway-local:inactive"
"""A function that is given this tag becomes Inactive; the value says how many seconds it then takes to wake up. AWS
takes a minute or so, for functions in a VPC."""
_LONGEST_PAUSE_SECONDS = 2.0

logger = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    code: str
    status: int
    message: str


_NO_CONNECTION = _Refusal(
    "ResourceNotReadyException",
    502,
    "The function is inactive and its VPC connection is no longer available. Wait for the VPC connection to "
    "reestablish and try again.",
)
"""docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
_INITIALIZING = _Refusal(
    "CodeArtifactUserPendingException",
    409,
    "Lambda is initializing your function. It will be ready to invoke shortly.",
)
"""As observed: github.com/boto/boto3/issues/3788, github.com/aws/aws-cdk/issues/20123."""
_PENDING = _Refusal(
    "ResourceConflictException",
    409,
    "The operation cannot be performed at this time. The function is currently in the following state: Pending",
)

_lock = threading.Lock()
_waking_seconds: dict[str, float] = {}
"""By ARN, of functions that are Inactive, or Pending since they were called."""


def _refusal(configuration: Json) -> _Refusal | None:
    """Say why a call is refused, if it is; the first one wakes the function."""
    arn = configuration["FunctionArn"]
    with _lock:
        if arn not in _waking_seconds:
            return None
        if configuration["State"] != "Inactive":
            return _PENDING
        configuration |= {
            "State": "Pending",
            "StateReason": "The function is being restored after being idle.",
            "StateReasonCode": "Restoring",
        }
    timer = threading.Timer(_waking_seconds[arn], _wake, (configuration,))
    timer.daemon = True
    timer.start()
    return _NO_CONNECTION if (configuration.get("VpcConfig") or {}).get("SubnetIds") else _INITIALIZING


def _wake(configuration: Json) -> None:
    with _lock:
        del _waking_seconds[configuration["FunctionArn"]]
        configuration |= {"State": "Active", "StateReason": "", "StateReasonCode": ""}


def _resting(tag_resource: Callable[[str, Json], Response]) -> Callable[[str, Json], Response]:
    @wraps(tag_resource)
    def tag(arn: str, request: Json) -> Response:
        answer = tag_resource(arn, request)
        if answer[0] == 204 and TAG in request["Tags"]:
            configuration = lambda_svc._functions[lambda_svc._resolve_request_scoped_name(arn)]["config"]
            with _lock:
                _waking_seconds[configuration["FunctionArn"]] = float(request["Tags"][TAG])
                configuration |= {
                    "State": "Inactive",
                    "StateReason": "The function is idle.",
                    "StateReasonCode": "Idle",
                }
        return answer

    return tag


def _refusing_calls(invoke: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Every call is refused, also an asynchronous one: it is not documented that Lambda would keep the event."""

    @wraps(invoke)
    async def call(name: str, event: object, headers: dict[str, str], *arguments: Any) -> Response:  # noqa: ANN401
        function = lambda_svc._functions.get(name)
        is_dry = {key.lower(): value for key, value in headers.items()}.get("x-amz-invocation-type") == "DryRun"
        refusal = _refusal(function["config"]) if function and not is_dry else None
        if refusal is not None:
            answer: Response = error_response_json(refusal.code, refusal.message, refusal.status)
            return answer
        return await invoke(name, event, headers, *arguments)

    return call


def _failing_tasks(call_lambda: Callable[[str, object], object]) -> Callable[[str, object], object]:
    """A task fails with the error's name.

    docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
    """

    def call(reference: str, event: object) -> object:
        _, configuration, _ = lambda_svc._get_func_record_for_ref(reference)
        refusal = _refusal(configuration) if configuration else None
        if refusal is not None:
            raise states._ExecutionError(f"Lambda.{refusal.code}", refusal.message)
        return call_lambda(reference, event)

    return call


def _patient(execute: Callable[[Json, Json], Json]) -> Callable[[Json, Json], Json]:
    """An event from one of AWS's own services waits in Lambda's queue, or in that service's, for hours.

    docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html,
    docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
    """

    @wraps(execute)
    def call(function: Json, event: Json) -> Json:
        configuration = _kept(function)
        pause = 0.25
        while configuration is not None and (refusal := _refusal(configuration)) is not None:
            logger.info("%s is called again in %s seconds: %s", configuration["FunctionName"], pause, refusal.code)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return execute(function, event)

    return call


def _kept(function: Json) -> Json | None:
    """Find the configuration that is kept: a call is given a copy."""
    arn = (function.get("config") or function).get("FunctionArn", "")
    configuration: Json | None = lambda_svc._get_func_record_for_ref(arn)[1]
    return configuration


@cache
def register() -> None:
    """Install states, refusals and patience; a second call changes nothing."""
    lambda_svc._tag_resource = _resting(lambda_svc._tag_resource)
    lambda_svc._invoke = _refusing_calls(lambda_svc._invoke)
    lambda_svc._execute_function = _patient(lambda_svc._execute_function)
    states._call_lambda = _failing_tasks(states._call_lambda)
