"""The checks, in the order in which they run: a new one is a module, and a line here."""

from __future__ import annotations

from gaitway.acceptance.check import Check
from gaitway.acceptance.checks import (
    alarm,
    backends,
    dashboard,
    denials,
    evaluation,
    image,
    interruption,
    memory,
    nodes,
    queries,
    second_start,
    stop,
    teardown,
    training,
)

CHECKS: tuple[Check, ...] = (
    image.CHECK,
    training.CHECKS[0],
    # While its instance is there.
    second_start.CHECK,
    memory.CHECK,
    *training.CHECKS[1:],
    evaluation.CHECK,
    interruption.CHECK,
    stop.CHECK,
    *nodes.CHECKS,
    *backends.CHECKS,
    dashboard.CHECK,
    queries.CHECK,
    alarm.CHECK,
    # Of everything before it.
    denials.CHECK,
    teardown.CHECK,
)
