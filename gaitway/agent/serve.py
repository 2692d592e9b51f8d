"""The agent as a process: until it is asked to stop, whatever fails meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from gaitway.agent.agent import Agent, ReportError
from gaitway.agent.health import Health
from gaitway.agent.scheduler import SchedulerError
from gaitway.aws.errors import AWS_ERRORS

logger = logging.getLogger(__name__)

WAIT_SECONDS = 3
"""Between two looks at the scheduler; an order is received at once."""
_PAUSE_SECONDS = 5.0
"""After a failure."""
_PASSING: tuple[type[Exception], ...] = (*AWS_ERRORS, SchedulerError, ReportError)
"""What another try may get over, so that a line in the log is enough."""


def serve(agent: Agent, stop: threading.Event, health: Health) -> None:
    """Carry out orders and report states until `stop` is set."""
    while not stop.is_set():
        is_well = True
        steps: tuple[Callable[[], None], ...] = (partial(agent.take_orders, WAIT_SECONDS), agent.report_states)
        for step in steps:
            try:
                step()
            except Exception as error:
                is_well = False
                if isinstance(error, _PASSING):
                    logger.warning("tried again later: %s", error)
                else:
                    logger.exception("tried again later")
                stop.wait(_PAUSE_SECONDS)
            health.alive()
        if is_well:
            health.ready()
