"""The error of a failed Lambda function has the name of the exception.

MiniStack names every error Runtime.HandlerError. On AWS, Retry and Catch match the exception's own type:
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
"""

import re
from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc
from ministack.services import stepfunctions as states

_Execute = Callable[[dict[str, Any], object, str], dict[str, Any]]

_Call = Callable[[str, object], object]

_THROTTLED = "TooManyRequestsException"

_RUNTIME_ERRORS = (
    ("Worker process died", "Runtime.ExitError"),
    ("Worker process exited immediately", "Runtime.ExitError"),
    ("Worker init failed: No module named", "Runtime.ImportModuleError"),
    ("Worker init failed: cannot import name", "Runtime.ImportModuleError"),
)
"""How MiniStack's messages begin, and what AWS calls that."""


def exception_name(message: str, trace: str) -> str | None:
    """Return the name of the exception that a traceback ends with, without its module.

    Args:
        message: The exception's own message, which may have several lines.
        trace: Text that ends with the traceback, of Python or of Node.
    """
    heading = f": {message}" if message else ""
    end = trace.rstrip().rfind(heading.rstrip()) if message else len(trace.rstrip())
    last_line = trace[: max(end, 0)].rpartition("\n")[2]
    return last_line.rpartition(".")[2] if re.fullmatch(r"[\w.<>]+", last_line) else None


def _error_type(message: str, trace: str) -> str | None:
    for beginning, name in _RUNTIME_ERRORS:
        if message.startswith(beginning):
            return name
    return exception_name(message, trace)


def _with_exception_name(execute_function: _Execute) -> _Execute:
    def execute(function: dict[str, Any], event: object, request_id: str) -> dict[str, Any]:
        result = execute_function(function, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") != "Sandbox.Timedout":
            trace = result.get("log", "")
            error_type = _error_type(body["errorMessage"], trace)
            if error_type:
                result["body"] = body | {"errorType": error_type, "requestId": request_id}
        return result

    return execute


def _naming_throttles(call_function: _Call) -> _Call:
    """A call that Lambda throttles fails its task with an error that machines retry, and not as unknown.

    https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
    """

    def call(function: str, event: object) -> object:
        try:
            return call_function(function, event)
        except states._ExecutionError as error:
            if error.error != "Lambda.Unknown" or _THROTTLED not in error.cause:
                raise
            raise states._ExecutionError(f"Lambda.{_THROTTLED}", error.cause) from None

    return call


def register() -> None:
    """Install the names of exceptions, and of throttling."""
    lambda_svc._execute_function_warm = _with_exception_name(lambda_svc._execute_function_warm)
    states._call_lambda = _naming_throttles(states._call_lambda)
