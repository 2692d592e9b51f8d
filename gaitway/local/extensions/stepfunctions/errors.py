"""Which errors a Retry or a Catch matches, and how long a retry waits.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from collections.abc import Callable, Iterable
from random import SystemRandom
from typing import Any

from ministack.services import stepfunctions as states

TIMEOUT = "States.Timeout"

_RUNTIME = "States.Runtime"

_TERMINAL = frozenset({_RUNTIME, "States.DataLimitExceeded"})

_Retrier = dict[str, Any]
_FindRetrier = Callable[[list[_Retrier], str, dict[int, int]], tuple[_Retrier | None, int]]


class _HeartbeatTimeout(str):
    """The name of a missed heartbeat: AWS records it as States.Timeout, and matches it by two names."""

    __slots__ = ()


HEARTBEAT_TIMEOUT = _HeartbeatTimeout(TIMEOUT)
"""The error of a task that failed to send a heartbeat in time."""


def runtime_error(cause: str) -> Exception:
    """Return the error that fails an execution whatever its Retry and Catch say."""
    error: Exception = states._ExecutionError(_RUNTIME, cause)
    return error


def matches(error_equals: Iterable[str], error: str) -> bool:
    """Say whether ErrorEquals matches an error.

    A missed heartbeat is both a States.HeartbeatTimeout and a States.Timeout. The wildcards do not match terminal
    errors, and States.TaskFailed does not match States.Timeout.
    """
    names = {str(error)}
    if isinstance(error, _HeartbeatTimeout):
        names.add("States.HeartbeatTimeout")
    wanted = set(error_equals)
    if names & wanted:
        return True
    if error in _TERMINAL:
        return False
    return "States.ALL" in wanted or ("States.TaskFailed" in wanted and error != TIMEOUT)


def retry_delay_seconds(retrier: _Retrier, retries_before: int) -> float:
    """Return how long to wait before the next retry, with MaxDelaySeconds and JitterStrategy."""
    delay: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries_before
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    if retrier.get("JitterStrategy") == "FULL":
        return SystemRandom().uniform(0, delay)
    return delay


def _with_delay(find_retrier: _FindRetrier) -> _FindRetrier:
    def find(retriers: list[_Retrier], error: str, retry_counts: dict[int, int]) -> tuple[_Retrier | None, int]:
        retrier, index = find_retrier(retriers, error, retry_counts)
        if retrier is None:
            return None, index
        # MiniStack computes interval * backoff ** count: give it the final delay.
        delay = retry_delay_seconds(retrier, retry_counts.get(index, 0))
        return retrier | {"IntervalSeconds": delay, "BackoffRate": 1}, index

    return find


def register() -> None:
    """Install AWS's matching of errors, and the delay of retries."""
    states._error_matches = matches
    states._find_matching_retrier = _with_delay(states._find_matching_retrier)
