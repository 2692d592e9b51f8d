"""Tasks that wait for a callback with their token.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
"""

import base64
import binascii
import contextvars
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as states

from gaitway.local.extensions.stepfunctions.errors import HEARTBEAT_TIMEOUT, TIMEOUT
from gaitway.local.extensions.stepfunctions.executions import ExecutionEndedError, RunningExecution, current

_Response = tuple[int, dict[str, str], bytes]
_Handler = Callable[[dict[str, Any]], _Response]

_PATTERN = ".waitForTaskToken"

_DEFAULT_TIMEOUT_SECONDS = 99_999_999
"""https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html"""

_MAXIMUM_LENGTHS = {"output": 262_144, "error": 256, "cause": 32_768}
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html, and _SendTaskSuccess"""


@dataclass(frozen=True)
class _Succeeded:
    output: object


@dataclass(frozen=True)
class _Failed:
    error: str
    cause: str


_Outcome = _Succeeded | _Failed


class _CallbackTask:
    """One attempt of a task, from its start to its first outcome."""

    def __init__(self, execution: RunningExecution, timeout_seconds: float, heartbeat_seconds: float | None) -> None:
        self._execution = execution
        self._outcome: _Outcome | None = None
        self._heartbeat_seconds = heartbeat_seconds
        self._timeout_at = time.monotonic() + timeout_seconds
        self._heartbeat_at = time.monotonic()

    def settle(self, outcome: _Outcome) -> bool:
        """End the task, unless it has ended.

        Returns:
            Whether this call ended it.
        """
        with self._execution.changed:
            if self._is_over:
                return False
            self._outcome = outcome
            self._execution.changed.notify_all()
            return True

    def heartbeat(self) -> bool:
        """Restart the heartbeat clock.

        Returns:
            Whether the task still runs.
        """
        with self._execution.changed:
            self._heartbeat_at = time.monotonic()
            return not self._is_over

    def wait(self) -> _Outcome:
        """Wait for the first outcome: the callback, the failure of the call itself, or a limit.

        Raises:
            ExecutionEndedError: The execution ended before.
        """
        with self._execution.changed:
            while not self._is_over:
                deadline, error = self._next_limit
                remaining_seconds = deadline - time.monotonic()
                if remaining_seconds <= 0:
                    self._outcome = _Failed(error, "")
                else:
                    self._execution.changed.wait(remaining_seconds)
            if self._outcome is None:
                raise ExecutionEndedError
            return self._outcome

    @property
    def _is_over(self) -> bool:
        return self._outcome is not None or self._execution.ended

    @property
    def _next_limit(self) -> tuple[float, str]:
        limits = [(self._timeout_at, TIMEOUT)]
        if self._heartbeat_seconds is not None:
            limits.append((self._heartbeat_at + self._heartbeat_seconds, HEARTBEAT_TIMEOUT))
        return min(limits)


_waiting: dict[str, _CallbackTask] = {}

token_end = ""
"""The ending of every token, in base64: for tests that search for tokens."""


def _new_token(execution_arn: str) -> str:
    # As on AWS the token is base64. It names its execution, so that the token of a closed task can be distinguished
    # from an invalid one, also after a restart.
    text = f"{execution_arn}#{uuid.uuid4()}".encode()
    # To whole groups of three bytes: base64 of such has no padding, and may be followed by more.
    return base64.b64encode(text.ljust(-(-len(text) // 3) * 3)).decode() + token_end


def _is_token(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True).startswith(b"arn:aws:states:")
    except (binascii.Error, ValueError):
        return False


def _with_own_token(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Every attempt of a callback task has its own token.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
    """

    def prepare_attempt(definition: dict[str, Any], data: object, context: dict[str, Any] | None = None) -> object:
        if context is not None and definition.get("Resource", "").endswith(_PATTERN):
            context["Task"] = {"Token": _new_token(context["Execution"]["Id"])}
        return prepare(definition, data, context)

    return prepare_attempt


def _invoke_with_callback(resource: str, task_input: object, token: str, definition: dict[str, Any]) -> object:
    """Call the service and wait for the callback, within TimeoutSeconds and HeartbeatSeconds.

    The clocks start with the call, and a call that fails fails the task with its own error:
    https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
    """
    timeout_seconds = definition.get("TimeoutSeconds", _DEFAULT_TIMEOUT_SECONDS)
    task = _waiting[token] = _CallbackTask(current(), timeout_seconds, definition.get("HeartbeatSeconds"))
    try:
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(_call, resource.removesuffix(_PATTERN), task_input, task),
            daemon=True,
        ).start()
        outcome = task.wait()
    finally:
        del _waiting[token]
    if isinstance(outcome, _Failed):
        raise states._ExecutionError(outcome.error, outcome.cause)
    return outcome.output


def _call(resource: str, task_input: object, task: _CallbackTask) -> None:
    try:
        states._invoke_resource(resource, task_input)
    except states._ExecutionError as failure:
        task.settle(_Failed(failure.error, failure.cause))
    except Exception as failure:  # whatever it is, the task must not wait in vain
        task.settle(_Failed("States.Runtime", str(failure)))


def _answer(settle: Callable[[_CallbackTask, dict[str, Any]], bool], activity_handler: _Handler) -> _Handler:
    """Find the task of a token, which can be answered once.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html#API_SendTaskSuccess_Errors
    """

    def handle(request: dict[str, Any]) -> _Response:
        token = request.get("taskToken", "")
        if token in states._task_tokens:
            # Activities stay MiniStack's.
            return activity_handler(request)
        for field, length in _MAXIMUM_LENGTHS.items():
            if len(request.get(field) or "") > length:
                return _error(
                    "ValidationException",
                    f"1 validation error detected: Value at '{field}' failed to satisfy constraint: "
                    f"Member must have length less than or equal to {length}",
                )
        if not _is_token(token):
            return _error("InvalidToken", "Invalid Token: 'Invalid token'")
        task = _waiting.get(token)
        try:
            settled = task is not None and settle(task, request)
        except ValueError as error:
            return _error("InvalidOutput", f"Invalid Output: '{error}'")
        if not settled:
            return _error("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        answer: _Response = json_response({})
        return answer

    return handle


def _error(code: str, message: str) -> _Response:
    response: _Response = error_response_json(code, message, 400)
    return response


def _succeed(task: _CallbackTask, request: dict[str, Any]) -> bool:
    return task.settle(_Succeeded(json.loads(request["output"])))


def _fail(task: _CallbackTask, request: dict[str, Any]) -> bool:
    return task.settle(_Failed(request.get("error", "States.TaskFailed"), request.get("cause", "")))


def _heartbeat(task: _CallbackTask, request: dict[str, Any]) -> bool:
    del request
    return task.heartbeat()


def register() -> None:
    """Install callbacks, and the three ways to answer them."""
    states._apply_parameters = _with_own_token(states._apply_parameters)
    states._apply_jsonata_arguments = _with_own_token(states._apply_jsonata_arguments)
    states._invoke_with_callback = _invoke_with_callback
    states._send_task_success = _answer(_succeed, states._send_task_success)
    states._send_task_failure = _answer(_fail, states._send_task_failure)
    states._send_task_heartbeat = _answer(_heartbeat, states._send_task_heartbeat)
