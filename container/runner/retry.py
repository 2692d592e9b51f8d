"""How AWS calls whose result the run depends on are tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

logger = logging.getLogger(__name__)

RETRY_SECONDS = 300.0
"""Longer than a throttled account or a failing endpoint usually takes, shorter than any heartbeat's timeout."""


def retrying(
    errors: tuple[type[Exception], ...], sleep: Callable[[float], None], seconds: float = RETRY_SECONDS
) -> Retrying:
    """Try again with growing waits; the last error is raised as it is.

    Args:
        errors: What is tried again.
        sleep: Waits a number of seconds, and may raise to end the attempts.
        seconds: For how long.
    """
    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_exponential_jitter(initial=1, max=30),
        stop=stop_after_delay(seconds),
        sleep=sleep,
        before_sleep=_log,
        reraise=True,
    )


def _log(state: RetryCallState) -> None:
    assert state.outcome is not None
    assert state.next_action is not None
    logger.warning("trying again in %.0f s: %s", state.next_action.sleep, state.outcome.exception())
