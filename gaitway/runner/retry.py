"""How AWS calls whose result the run depends on are tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter
from tenacity.retry import retry_base

from gaitway.contracts.limits import RETRY_SECONDS

logger = logging.getLogger(__name__)


def retrying(
    errors: tuple[type[Exception], ...], sleep: Callable[[float], None], seconds: float = RETRY_SECONDS
) -> Retrying:
    """Try again with growing waits; the last error is raised as it is.

    Args:
        errors: What is tried again.
        sleep: Waits a number of seconds, and may raise to end the attempts.
        seconds: For how long.
    """
    return retrying_if(retry_if_exception_type(errors), sleep, seconds)


def retrying_if(condition: retry_base, sleep: Callable[[float], None], seconds: float = RETRY_SECONDS) -> Retrying:
    """Do the same for errors that match a condition of tenacity."""
    return Retrying(
        retry=condition,
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
