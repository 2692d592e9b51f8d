"""The life of an execution: its name, its time limit, and its end."""

import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ministack.core.responses import json_response, now_iso
from ministack.services import stepfunctions as states

from gaitway.local.extensions.stepfunctions.errors import TIMEOUT

_Record = dict[str, Any]
_Response = tuple[int, dict[str, str], bytes]
_Handler = Callable[[dict[str, Any]], _Response]


class ExecutionEndedError(SystemExit):
    """Ends a thread of an execution that has already ended; SystemExit ends a thread silently."""


class RunningExecution:
    """What the threads of one execution share.

    Args:
        role_arn: Its machine's role; empty where the machine is gone.
    """

    def __init__(self, role_arn: str = "") -> None:
        self.role_arn = role_arn
        self.changed = threading.Condition()
        """Notified when the execution ends, and when something happens to one of its tasks."""
        self.ended = False

    def end(self) -> None:
        """Wake every thread that waits for something of this execution."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than the execution runs.

        Raises:
            ExecutionEndedError: It ended.
        """
        with self.changed:
            if self.changed.wait_for(lambda: self.ended, seconds):
                raise ExecutionEndedError


_running: dict[str, RunningExecution] = {}

_current: contextvars.ContextVar[RunningExecution | None] = contextvars.ContextVar("running_execution", default=None)

# Reentrant: the event of one start may be the trigger of another.
_starting = threading.RLock()


def current() -> RunningExecution:
    """Return the execution to which this thread belongs."""
    return _current.get() or RunningExecution()


def _end(execution_arn: str) -> None:
    if running := _running.get(execution_arn):
        running.end()


@contextmanager
def _time_limit(record: _Record) -> Iterator[None]:
    """Time the execution out, should it run longer than its machine's TimeoutSeconds."""
    definition: dict[str, Any] = {}
    # A machine that is gone, or no JSON, is MiniStack's to report.
    with suppress(KeyError, ValueError):
        definition = json.loads(states._state_machines[record["stateMachineArn"]]["definition"])
    if "TimeoutSeconds" not in definition:
        yield
        return
    # A timer's thread has a fresh context, and MiniStack keeps the account and region of a request in it.
    context = contextvars.copy_context()
    timer = threading.Timer(definition["TimeoutSeconds"], context.run, (_time_out, record))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _time_out(record: _Record) -> None:
    if record["status"] != "RUNNING":
        return
    record |= {"status": "TIMED_OUT", "error": TIMEOUT, "stopDate": now_iso()}
    states._add_event(record, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": TIMEOUT}})
    states._emit_execution_status_event(record)
    _end(record["executionArn"])


def _with_time_limit(run_execution: Callable[[str], None]) -> Callable[[str], None]:
    """A machine's own TimeoutSeconds ends its executions as TIMED_OUT.

    https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
    """

    def run(execution_arn: str) -> None:
        record = states._executions.get(execution_arn)
        if record is None:
            return
        machine = states._state_machines.get(record["stateMachineArn"]) or {}
        running = _running[execution_arn] = RunningExecution(machine.get("roleArn", ""))
        previous = _current.set(running)
        try:
            with suppress(ExecutionEndedError), _time_limit(record):
                run_execution(execution_arn)
        finally:
            running.end()
            _running.pop(execution_arn, None)
            _current.reset(previous)

    return run


def _start_idempotently(start_execution: _Handler) -> _Handler:
    """Starting a running execution again, with the same name and input, changes nothing and returns that execution.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """

    def start(request: dict[str, Any]) -> _Response:
        with _starting:
            running = _running_namesake(request)
            if running and running["input"] == request.get("input", "{}"):
                answer: _Response = json_response(
                    {"executionArn": running["executionArn"], "startDate": running["startDate"]}
                )
                return answer
            return start_execution(request)

    return start


def _running_namesake(request: dict[str, Any]) -> _Record | None:
    machine_arn = states._resolve_state_machine_arn(request.get("stateMachineArn", ""))
    if machine_arn is None or not request.get("name"):
        return None
    execution_arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{request['name']}"
    record: _Record | None = states._executions.get(execution_arn)
    return record if record and record["status"] == "RUNNING" else None


def _stop_waiting_too(stop_execution: _Handler) -> _Handler:
    """StopExecution also ends what the execution waits for, and so its task tokens.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
    """

    def stop(request: dict[str, Any]) -> _Response:
        response = stop_execution(request)
        if response[0] == 200:
            _end(request["executionArn"])
        return response

    return stop


def _fail_once(fail_execution: Callable[[_Record, str, str], None]) -> Callable[[_Record, str, str], None]:
    """An execution that was stopped or timed out does not turn FAILED when its last task does."""

    def fail(record: _Record, error: str, cause: str) -> None:
        if record["status"] == "RUNNING":
            fail_execution(record, error, cause)

    return fail


def _record_until_end(add_event: Callable[..., Any]) -> Callable[..., Any]:
    """The event that ends an execution is the last of its history; its threads do nothing afterwards.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
    """

    def add(record: _Record, event_type: str, details: dict[str, Any] | None = None) -> object:
        if record["status"] != "RUNNING" and not event_type.startswith("Execution"):
            raise ExecutionEndedError
        return add_event(record, event_type, details)

    return add


def _own_context(run_sub_machine: Callable[..., Any]) -> Callable[..., Any]:
    """Each branch of a Parallel or Map state sees its own state and task token in the context object.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
    """

    def run(
        branch_states: dict[str, Any], start_at: str, branch_input: object, execution: _Record, context: dict[str, Any]
    ) -> object:
        # A shallow copy: workflow variables are shared on purpose.
        return run_sub_machine(branch_states, start_at, branch_input, execution, dict(context))

    return run


def _sleep(seconds: float) -> None:
    """Wait in a Wait state or before a retry, but no longer than the execution runs."""
    seconds *= states._SFN_WAIT_SCALE
    running = _current.get()
    if running:
        running.sleep(seconds)
    else:
        time.sleep(seconds)


def register() -> None:
    """Install the life of executions."""
    states._run_execution = _with_time_limit(states._run_execution)
    states._start_execution = _start_idempotently(states._start_execution)
    states._stop_execution = _stop_waiting_too(states._stop_execution)
    states._fail_execution = _fail_once(states._fail_execution)
    states._add_event = _record_until_end(states._add_event)
    states._run_sub_machine = _own_context(states._run_sub_machine)
    states._scaled_sleep = _sleep
