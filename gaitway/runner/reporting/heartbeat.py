"""Send heartbeats to the inner machine and the caller as long as the run makes progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.errors import CancelledError
from gaitway.contracts.limits import (
    CALLER_GRACE_SECONDS,
    HANDOVER_SECONDS,
    IDLE_ALLOWANCE_SECONDS,
    START_UP_ALLOWANCE_SECONDS,
)
from gaitway.contracts.run import CALLER_GONE
from gaitway.runner.background import Background
from gaitway.runner.ownership import Ownership
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

_HANDOVER_POLL_SECONDS = 2.0
_CLOSE_SECONDS = 2.0
"""A heartbeat that hangs must not use up the time in which an interrupted run reports."""


def deserves_heartbeat(idle_seconds: float, *, simulation_began: bool) -> bool:
    """Decide whether a run still counts as making progress.

    Args:
        idle_seconds: Time since its last progress: an iteration, episode, step of the runner or upload.
        simulation_began: Whether a first iteration or episode is done.
    """
    return idle_seconds <= (IDLE_ALLOWANCE_SECONDS if simulation_began else START_UP_ALLOWANCE_SECONDS)


class Activity:
    """When the run last made progress.

    Args:
        clock: A monotonic clock, in seconds.
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
        """Seconds since the last progress."""
        return self._clock() - self._latest

    @property
    def simulation_began(self) -> bool:
        """Whether a first iteration or episode is done."""
        return self._simulation_began

    @property
    def goes_on(self) -> bool:
        """Whether the run may send a heartbeat."""
        return deserves_heartbeat(self.idle_seconds, simulation_began=self._simulation_began)


class Caller:
    """Whether a caller waits for the run.

    Args:
        grace_seconds: How long a caller may be gone before the run is cancelled.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._gone_at: float | None = None
        self._token: str | None = None

    def note(self, token: str, *, waits: bool) -> None:
        """Note whether the task of a token waits; another token is another caller, with its own grace period."""
        if waits:
            self._gone_at = None
        elif self._gone_at is None or token != self._token:
            self._gone_at = self._clock()
        self._token = token

    @property
    def is_gone(self) -> bool:
        """Whether no caller is expected any more."""
        return self._gone_at is not None and self._clock() - self._gone_at > self._grace_seconds


class Heartbeat:
    """Sends heartbeats from its own thread while it is entered.

    Args:
        ownership: Provides the task tokens of this attempt.
        task_tokens: Sends the heartbeats.
        activity: Whether the run makes progress.
        stop: Receives the request to end the run when no caller waits for it any more.
        interval_seconds: Time between two heartbeats.
    """

    def __init__(
        self,
        ownership: Ownership,
        task_tokens: TaskTokens,
        activity: Activity,
        stop: StopRequest,
        interval_seconds: float,
    ) -> None:
        self._ownership = ownership
        self._task_tokens = task_tokens
        self._activity = activity
        self._stop = stop
        self._caller = Caller(CALLER_GRACE_SECONDS)
        self._background = Background("heartbeat", self._beat_if_deserved, interval_seconds)

    def beat(self) -> bool:
        """Send one heartbeat to the inner machine and one to the caller.

        Returns:
            Whether the inner machine waits for the job.
        """
        tokens = self._ownership.tokens()
        awaited = tokens.inner is not None and self._task_tokens.heartbeat(tokens.inner)
        if tokens.external is not None:
            waits = self._task_tokens.heartbeat(tokens.external)
            if not waits:
                logger.warning("the caller does not wait any more: the run goes on for one that tries again")
            self._caller.note(tokens.external, waits=waits)
        return awaited

    def is_awaited(self, wait: Callable[[float], object]) -> bool:
        """Send a heartbeat; if no task waits, check for a while whether SubmitJob's retry takes the job over.

        Args:
            wait: Waits a number of seconds; may raise to end the checks.
        """
        give_up_at = time.monotonic() + HANDOVER_SECONDS
        while not self.beat():
            if self._background.is_over or time.monotonic() >= give_up_at or self._is_over():
                return False
            wait(_HANDOVER_POLL_SECONDS)
        return True

    def _is_over(self) -> bool:
        """Return whether this attempt will get no other token: its run has ended, or belongs to another attempt."""
        record = self._ownership.record()
        return record is None or record.state.ended

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.close(_CLOSE_SECONDS)

    def _beat_if_deserved(self) -> None:
        if not self._activity.goes_on:
            logger.error("no heartbeat: the run makes no progress")
            return
        try:
            awaited = self.is_awaited(self._background.wait)
        except (ClientError, BotoCoreError) as error:
            logger.warning("heartbeat failed, the next one follows: %s", error)
            return
        if not awaited:
            self._stop.request(CancelledError("nobody waits for this run any more: it was stopped or timed out"))
            self._background.end()
        elif self._caller.is_gone:
            # The inner machine still waits, and receives the reason.
            self._stop.request(CancelledError(CALLER_GONE))
            self._background.end()
