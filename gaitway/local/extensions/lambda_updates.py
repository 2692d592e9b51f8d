"""A call in progress when its function is updated or deleted runs to its end, with the code that it began with.

Until an update is done, Lambda calls the old version: docs.aws.amazon.com/lambda/latest/dg/functions-states.html
MiniStack ends the function's processes at once, also one that is answering a call or starting for one.
"""

import threading
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

_lock = threading.Lock()
_retired: set[lambda_runtime.Worker] = set()
"""Processes that are to end once their call is answered."""


def _sparing_calls(kill_workers: Callable[[Iterable[lambda_runtime.Worker]], None]) -> Callable[..., None]:
    def kill(workers: Iterable[lambda_runtime.Worker]) -> None:
        idle = []
        with _lock:
            for worker in filter(None, workers):
                if worker.in_use:
                    _retired.add(worker)
                else:
                    idle.append(worker)
        kill_workers(idle)

    return kill


def _ending_retired(
    release_worker: Callable[[lambda_runtime.Worker | None], None],
    kill_workers: Callable[[Iterable[lambda_runtime.Worker]], None],
) -> Callable[[lambda_runtime.Worker | None], None]:
    def release(worker: lambda_runtime.Worker | None) -> None:
        with _lock:
            release_worker(worker)
            is_retired = worker in _retired
            _retired.discard(worker)
        if is_retired:
            kill_workers([worker])

    return release


def _giving_up(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """MiniStack ends a process that raised, and does not release it."""

    @wraps(invoke)
    def call(self: lambda_runtime.Worker, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return invoke(self, *arguments, **options)
        except Exception:
            self.in_use = False
            raise

    return call


@cache
def register() -> None:
    """Let calls finish; a second call changes nothing."""
    kill_workers = lambda_runtime.kill_workers
    lambda_svc.release_worker = _ending_retired(lambda_runtime.release_worker, kill_workers)
    lambda_runtime.kill_workers = _sparing_calls(kill_workers)
    lambda_runtime.Worker.invoke = _giving_up(lambda_runtime.Worker.invoke)
