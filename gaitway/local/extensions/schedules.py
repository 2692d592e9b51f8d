"""EventBridge rules with a ScheduleExpression.

MiniStack fires them, checking every ten seconds what is due; since it counts from its last check, each period of a
rate grows by up to that much. AWS fires them on time:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import os
from collections.abc import Callable
from functools import cache

from ministack.services import eventbridge, scheduler

SPEEDUP_VARIABLE = "GAITWAY_LOCAL_SCHEDULE_SPEEDUP"
"""For tests only: how many times sooner a rate fires, since the shortest that AWS knows is a minute."""

_TICK_SECONDS = 1


def _sped_up(parse_rate: Callable[[str], float | None], factor: float) -> Callable[[str], float | None]:
    def parse(expression: str) -> float | None:
        seconds = parse_rate(expression)
        return None if seconds is None else seconds / factor

    return parse


@cache
def register() -> None:
    """Check for due schedules every second; a second call changes nothing."""
    eventbridge._SCHEDULER_TICK_INTERVAL = _TICK_SECONDS
    scheduler._SCHEDULE_TICK_INTERVAL = _TICK_SECONDS
    factor = float(os.environ.get(SPEEDUP_VARIABLE, "1"))
    # EventBridge Scheduler parses its rates with the same function.
    eventbridge._parse_rate_seconds = _sped_up(eventbridge._parse_rate_seconds, factor)
