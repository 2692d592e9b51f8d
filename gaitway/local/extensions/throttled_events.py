"""Events for functions that are throttled.

MiniStack counts a call that was throttled as one of three attempts at an event, and then gives it up. AWS keeps the
event for six hours, and attempts to call again after one second, then less and less often:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html.
"""

import contextvars
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from ministack.services import lambda_svc

Json = dict[str, Any]

_KEPT_SECONDS = 6 * 3_600.0
_LONGEST_PAUSE_SECONDS = 30.0
"""AWS waits up to five minutes."""

_is_event: contextvars.ContextVar[bool] = contextvars.ContextVar("is_event", default=False)


def _taking_events(invoke: Callable[[Json, Json], None]) -> Callable[[Json, Json], None]:
    """Mark what is done about an event, in the thread that MiniStack starts with a copy of this context."""

    @wraps(invoke)
    def take(function: Json, event: Json) -> None:
        marked = contextvars.copy_context()
        marked.run(_is_event.set, True)
        marked.run(invoke, function, event)

    return take


def _patient(execute: Callable[[Json, Json], Json]) -> Callable[[Json, Json], Json]:
    """Call for an event until the call is not throttled."""

    @wraps(execute)
    def call(function: Json, event: Json) -> Json:
        result = execute(function, event)
        pause, give_up_at = 1.0, time.monotonic() + _KEPT_SECONDS
        while _is_event.get() and result.get("throttle") and time.monotonic() < give_up_at:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            result = execute(function, event)
        return result

    return call


@cache
def register() -> None:
    """Keep events as Lambda does; a second call changes nothing."""
    lambda_svc.invoke_async_with_retry = _taking_events(lambda_svc.invoke_async_with_retry)
    lambda_svc._execute_function = _patient(lambda_svc._execute_function)
