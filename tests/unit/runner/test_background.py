"""Work beside a run goes on, whatever happens to it, and ends with the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from gaitway.runner.background import Background

TIMEOUT_SECONDS = 10.0


class Steps:
    """Notes the steps that are taken; each may do something of its own."""

    def __init__(self, *actions: Callable[[], object]) -> None:
        self._actions = list(actions)
        self._taken = threading.Semaphore(0)
        self.names: list[str] = []

    def step(self) -> None:
        """Take one."""
        self._note("step")

    def last(self) -> None:
        """Take the last one."""
        self._note("last")

    def await_next(self) -> None:
        """Wait for one more."""
        assert self._taken.acquire(timeout=TIMEOUT_SECONDS)

    def _note(self, name: str) -> None:
        self.names.append(name)
        self._taken.release()
        if self._actions:
            self._actions.pop(0)()


def raising(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def test_whatever_a_step_raises_the_next_ones_follow(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(*(raising(error) for error in (KeyError("a"), OSError("b"), OSError("b"), ValueError("c"))))
    background = Background("work", steps.step, 0.001)
    background.start()
    for _ in range(6):
        steps.await_next()
    background.close(TIMEOUT_SECONDS)
    logged = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert logged == [KeyError, OSError, ValueError]


def test_a_step_that_waits_for_long_is_woken_and_the_last_one_is_taken_at_the_end() -> None:
    steps = Steps()
    background = Background("work", steps.step, 3600, last_step=steps.last)
    background.start()
    background.wake()
    steps.await_next()
    background.close(TIMEOUT_SECONDS)
    assert steps.names == ["step", "last"]


def test_the_first_step_may_come_at_once() -> None:
    steps = Steps()
    background = Background("work", steps.step, 3600, begins_at_once=True)
    background.start()
    background.close(TIMEOUT_SECONDS)
    assert steps.names == ["step"]


def test_an_interval_may_grow_with_the_time() -> None:
    asked: list[float] = []

    def interval(elapsed: float) -> float:
        asked.append(elapsed)
        return 0.001

    steps = Steps()
    background = Background("work", steps.step, interval)
    background.start()
    steps.await_next()
    steps.await_next()
    background.close(TIMEOUT_SECONDS)
    assert asked == sorted(asked)
    assert len(asked) >= 2


def test_a_step_that_has_nothing_more_to_do_is_the_last() -> None:
    ended = threading.Event()

    def end() -> None:
        background.end()
        ended.set()

    steps = Steps(end)
    background = Background("work", steps.step, 0.001, last_step=steps.last)
    background.start()
    assert ended.wait(TIMEOUT_SECONDS)
    background.close(TIMEOUT_SECONDS)
    assert background.is_over
    assert steps.names == ["step"]


def test_a_step_that_hangs_keeps_nobody() -> None:
    release = threading.Event()
    steps = Steps(lambda: release.wait(TIMEOUT_SECONDS))
    background = Background("work", steps.step, 0.001)
    background.start()
    steps.await_next()
    began = time.monotonic()
    background.close(0.01)
    assert time.monotonic() - began < TIMEOUT_SECONDS / 2
    release.set()


def test_what_never_began_may_be_closed() -> None:
    Background("work", lambda: None, 1).close(None)
