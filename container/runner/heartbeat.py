"""Tell everybody who waits for the run that it goes on, as long as it does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from container.runner.stop import StopRequest
from container.runner.tokens import JobTokens
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.errors import CancelledError
from gaitway.contracts.run import CALLER_GONE, CALLER_GRACE_SECONDS

logger = logging.getLogger(__name__)

START_UP_ALLOWANCE_SECONDS = 1_800
"""Isaac Sim compiles its shaders when it starts for the first time on a machine, which takes many minutes."""
IDLE_ALLOWANCE_SECONDS = 900
"""Longer than any iteration or upload takes. After it the simulator is ended; and should that fail, the heartbeat's own
timeout ends the run within 40 minutes."""
HANDOVER_SECONDS = 60.0
"""SubmitJob's Retry waits up to 30 seconds before it brings a new token for the job that it finds alive."""
_HANDOVER_POLL_SECONDS = 2.0
_CLOSE_SECONDS = 2.0
"""A beat that hangs must not use up the time in which an interrupted run reports."""


def deserves_heartbeat(idle_seconds: float, *, simulation_began: bool) -> bool:
    """Decide whether a run still counts as making progress.

    Args:
        idle_seconds: Since its last progress: an iteration, episode, step of the runner or upload.
        simulation_began: Whether a first iteration or episode is done.
    """
    return idle_seconds <= (IDLE_ALLOWANCE_SECONDS if simulation_began else START_UP_ALLOWANCE_SECONDS)


class Activity:
    """When the run last made progress.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latest = clock()
        self._simulation_began = False

    def note(self) -> None:
        """Note progress of any kind."""
        self._latest = self._clock()

    def note_simulated(self) -> None:
        """Note an iteration or episode."""
        self._simulation_began = True
        self.note()

    @property
    def idle_seconds(self) -> float:
        """Since the last progress."""
        return self._clock() - self._latest

    @property
    def simulation_began(self) -> bool:
        """Whether a first iteration or episode is done."""
        return self._simulation_began

    @property
    def goes_on(self) -> bool:
        """Whether the run deserves a heartbeat."""
        return deserves_heartbeat(self.idle_seconds, simulation_began=self._simulation_began)


class Caller:
    """Whether somebody waits for the run.

    Args:
        grace_seconds: For how long a caller may be gone before the run is cancelled.
        clock: Seconds that only grow.
    """

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._gone_at: float | None = None
        self._token: str | None = None

    def note(self, token: str, *, waits: bool) -> None:
        """Note whether the task of a token waits; another token is another caller, with a grace of its own."""
        if waits:
            self._gone_at = None
        elif self._gone_at is None or token != self._token:
            self._gone_at = self._clock()
        self._token = token

    @property
    def is_gone(self) -> bool:
        """Whether nobody will come again."""
        return self._gone_at is not None and self._clock() - self._gone_at > self._grace_seconds


class Heartbeat:
    """Sends heartbeats from a thread of its own while it is entered.

    Args:
        tokens: Whose beats they are.
        task_tokens: Where the beats go.
        activity: Whether the run makes progress.
        stop: Asked to end the run when nobody waits for it any more.
        interval_seconds: Between two beats.
    """

    def __init__(
        self,
        tokens: JobTokens,
        task_tokens: TaskTokens,
        activity: Activity,
        stop: StopRequest,
        interval_seconds: float,
    ) -> None:
        self._tokens = tokens
        self._task_tokens = task_tokens
        self._activity = activity
        self._stop = stop
        self._interval_seconds = interval_seconds
        self._caller = Caller(CALLER_GRACE_SECONDS)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_closed, name="heartbeat", daemon=True)

    def beat(self) -> bool:
        """Send one heartbeat to the inner machine and one to the caller.

        Returns:
            Whether the inner machine waits for the job.
        """
        tokens = self._tokens.read()
        awaited = tokens.inner is not None and self._task_tokens.heartbeat(tokens.inner)
        if tokens.external is not None:
            waits = self._task_tokens.heartbeat(tokens.external)
            if not waits:
                logger.warning("the caller does not wait any more: the run goes on for one that tries again")
            self._caller.note(tokens.external, waits=waits)
        return awaited

    def is_awaited(self, wait: Callable[[float], object]) -> bool:
        """Send a heartbeat; where nobody waits, look for a while whether SubmitJob's retry takes the job over.

        Args:
            wait: Waits a number of seconds; may raise to end the looking.
        """
        give_up_at = time.monotonic() + HANDOVER_SECONDS
        while not self.beat():
            if self._closed.is_set() or time.monotonic() >= give_up_at or self._tokens.are_final():
                return False
            wait(_HANDOVER_POLL_SECONDS)
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(_CLOSE_SECONDS)

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(self._interval_seconds):
            if not self._activity.goes_on:
                logger.error("no heartbeat: the run makes no progress")
                continue
            try:
                awaited = self.is_awaited(self._closed.wait)
            except (ClientError, BotoCoreError) as error:
                logger.warning("heartbeat failed, the next one follows: %s", error)
                continue
            if not awaited:
                self._stop.request(CancelledError("nobody waits for this run any more: it was stopped or timed out"))
                return
            if self._caller.is_gone:
                # The inner machine still waits, and is told why the run ends.
                self._stop.request(CancelledError(CALLER_GONE))
                return
