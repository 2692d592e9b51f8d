"""What Step Functions refuses for its size or its name.

docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

import json
import re
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import stepfunctions as states

_Response = tuple[int, dict[str, str], bytes]
_Handler = Callable[[dict[str, Any]], _Response]

_BYTES = 262_144
_EVENTS = 25_000
_ENDS = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})
_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}""")
"""docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""


def _checked(start_execution: _Handler) -> _Handler:
    def start(request: dict[str, Any]) -> _Response:
        name = request.get("name")
        if name is not None and not _NAME.fullmatch(name):
            return _refuse("InvalidName", f"Invalid Name: '{name}'")
        if len(str(request.get("input", "")).encode()) > _BYTES:
            return _refuse(
                "ValidationException",
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_BYTES}",
            )
        return start_execution(request)

    return start


def _refuse(code: str, message: str) -> _Response:
    response: _Response = error_response_json(code, message, 400)
    return response


def _limited(call_lambda: Callable[[str, object], object]) -> Callable[[str, object], object]:
    """A task's result is data of the execution, and has its size limit.

    docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html, States.DataLimitExceeded
    """

    def call(reference: str, event: object) -> object:
        result = call_lambda(reference, event)
        if len(json.dumps(result, default=str).encode()) > _BYTES:
            raise _data_limit(reference)
        return result

    return call


def _data_limit(what: str) -> Exception:
    """Create the error for too much data; message: github.com/NASA-IMPACT/csdap-cumulus/issues/296."""
    words = (
        f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
    )
    error: Exception = states._ExecutionError("States.DataLimitExceeded", words)
    return error


def _measured(add_event: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse the output of a state that is too large, and more events than a history allows.

    The last event that a history takes is the execution's end:
    docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html, with the message that
    cloudonaut.io/step-functions-pitfall-maximum-number-of-history-events quotes
    """

    def add(execution: dict[str, Any], event_type: str, *details: Any, **named: Any) -> Any:  # noqa: ANN401
        for detail in details:
            exited = detail.get("stateExitedEventDetails") if isinstance(detail, dict) else None
            if exited and len(str(exited.get("output", "")).encode()) > _BYTES:
                raise _data_limit(exited["name"])
        if len(execution["events"]) >= _EVENTS - 1 and event_type not in _ENDS:
            raise states._ExecutionError(
                "States.Runtime", f"The execution reached the maximum number of history events ({_EVENTS})."
            )
        return add_event(execution, event_type, *details, **named)

    return add


def register() -> None:
    """Install the checks."""
    states._add_event = _measured(states._add_event)
    states._start_execution = _checked(states._start_execution)
    states._call_lambda = _limited(states._call_lambda)
