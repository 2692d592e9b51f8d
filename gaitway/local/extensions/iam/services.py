"""Calls that AWS services make for us with one of our roles or permissions, and MiniStack makes without any check.

Only calls of Lambda functions are checked: our state machines and rules call nothing else.
"""

import logging
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator as evaluator
from ministack.services import eventbridge, lambda_svc
from ministack.services import stepfunctions as states

from gaitway.local.extensions.stepfunctions.executions import current
from gaitway.local.runtime import ACCOUNT_ID, REGION

_INVOKE = "lambda:InvokeFunction"

logger = logging.getLogger(__name__)

_CallLambda = Callable[[str, object], object]
_Dispatch = Callable[[str, str], None]


def _function_arn(reference: str) -> str | None:
    _, config, _ = lambda_svc._get_func_record_for_ref(reference)
    return str(config["FunctionArn"]) if config else None


def _context(principal_arn: str, resource_arn: str, **keys: str) -> evaluator.EvalContext:
    return evaluator.EvalContext(
        principal_arn=principal_arn,
        principal_type="AssumedRole",
        principal_account=ACCOUNT_ID,
        action=_INVOKE,
        resource_arn=resource_arn,
        region=REGION,
        service_context=keys,
    )


def _as_machine(call_lambda: _CallLambda) -> _CallLambda:
    """A task calls a function with its state machine's role.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
    """

    def call(reference: str, event: object) -> object:
        role_arn, function_arn = current().role_arn, _function_arn(reference)
        if role_arn and function_arn and not _role_may_invoke(role_arn, function_arn):
            session = f"{role_arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/execution"
            raise states._ExecutionError(
                "Lambda.AWSLambdaException",
                f"User: {session} is not authorized to perform: {_INVOKE} on resource: {function_arn} because no "
                "identity-based policy allows the lambda:InvokeFunction action",
            )
        return call_lambda(reference, event)

    return call


def _role_may_invoke(role_arn: str, function_arn: str) -> bool:
    policies = evaluator._gather_role_policies(role_arn.rpartition("/")[2], ACCOUNT_ID)
    return bool(evaluator.evaluate(_context(role_arn, function_arn), policies).decision == "Allow")


def _as_rule(dispatch_to_lambda: _Dispatch) -> _Dispatch:
    """A rule calls a function whose policy allows EventBridge to do so.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """

    def dispatch(reference: str, payload: str) -> None:
        function_arn = _function_arn(reference)
        if function_arn and not _eventbridge_may_invoke(function_arn):
            logger.warning("EventBridge may not invoke %s: its policy does not allow it", function_arn)
            return
        dispatch_to_lambda(reference, payload)

    return dispatch


def _eventbridge_may_invoke(function_arn: str) -> bool:
    """Read the function's policy; the calling rule is not known here, so that conditions on it are left out."""
    policy: dict[str, Any] = (lambda_svc.function_policy_for_arn(function_arn) or ({}, ""))[0]
    statements = [{**statement, "Condition": {}} for statement in policy.get("Statement", [])]
    context = _context("events.amazonaws.com", function_arn)
    result = evaluator.evaluate_resource_policy({"Statement": statements}, context, service="events.amazonaws.com")
    return bool(result.decision == "Allow")


def register() -> None:
    """Install the checks."""
    states._call_lambda = _as_machine(states._call_lambda)
    eventbridge._dispatch_to_lambda = _as_rule(eventbridge._dispatch_to_lambda)
