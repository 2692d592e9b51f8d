"""The parts of both machines: calls of functions, and the handling of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gaitway.contracts.limits import FUNCTION_SECONDS, LAMBDA_RETRIES, STATE_MARGIN_SECONDS, Retry

State = dict[str, Any]
"""A state, or a whole machine."""

INVOKE = "${LambdaInvoke}"
"""Calls a function and takes its response: docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html"""
INVOKE_AND_WAIT = "${LambdaInvokeWaitForTaskToken}"
"""Calls a function, and waits until the task token that it was given is answered."""


def arn_name(function: str) -> str:
    """Return the substitution for the ARN of a function: `construct_run` is `ConstructRunFunctionArn`."""
    return "".join(part.title() for part in function.split("_")) + "FunctionArn"


def call(function: str, payload: Mapping[str, object], comment: str, **fields: object) -> State:
    """Call a function.

    Args:
        function: What it is called in `FUNCTION_SECONDS`.
        payload: What it is given.
        comment: Why.
        fields: Further fields of the state.
    """
    seconds = FUNCTION_SECONDS[function] + STATE_MARGIN_SECONDS
    return _task(INVOKE, function, payload, comment, TimeoutSeconds=seconds, **fields)


def call_and_wait(function: str, payload: Mapping[str, object], comment: str, **fields: object) -> State:
    """Call a function with a task token, and wait for the answer to that.

    Args:
        function: What it is called in `FUNCTION_SECONDS`.
        payload: What it is given; the token, too.
        comment: Who answers.
        fields: Further fields of the state; its timeout and heartbeat, too.
    """
    return _task(INVOKE_AND_WAIT, function, payload, comment, **fields)


def catch(*errors: str, to: str, into: str | None = None) -> State:
    """Go to another state with some errors.

    Args:
        errors: As Step Functions names them.
        to: The state.
        into: Where the error is put into that state's input. None: that input is this state's own
            (docs.aws.amazon.com/step-functions/latest/dg/input-output-resultpath.html).
    """
    return {"ErrorEquals": [*errors], "ResultPath": into, "Next": to}


def _task(resource: str, function: str, payload: Mapping[str, object], comment: str, **fields: object) -> State:
    return {
        "Type": "Task",
        "Comment": comment,
        "Resource": resource,
        "Parameters": {"FunctionName": f"${{{arn_name(function)}}}", "Payload": {**payload}},
        **fields,
        "Retry": [_retrier(retry) for retry in LAMBDA_RETRIES],
    }


def _retrier(retry: Retry) -> State:
    fields = {
        "Comment": retry.comment,
        "ErrorEquals": [*retry.errors],
        "IntervalSeconds": retry.first_pause_seconds,
        "BackoffRate": retry.growth,
        "MaxAttempts": retry.attempts,
        "MaxDelaySeconds": retry.longest_pause_seconds,
        "JitterStrategy": "FULL" if retry.has_jitter else "NONE",
    }
    return {name: value for name, value in fields.items() if value is not None}
