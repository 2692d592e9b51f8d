"""Entry points of functions with scaled waiting times: Lambda calls them instead of the functions' own handlers."""

from __future__ import annotations

import importlib
import os
from typing import Any

SPEEDUP_VARIABLE = "FAULTS_SPEEDUP"
QUIET_SPEEDUP = 2.5
"""Less: it must stay longer than a function may run, which is not scaled."""


def heartbeat(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Check the runs."""
    decide: Any = importlib.import_module("lambdas.heartbeat.decide")
    logic: Any = importlib.import_module("lambdas.heartbeat.logic")
    if not hasattr(decide, "IS_SCALED"):  # once in each process
        decide.IS_SCALED = True
        decide.QUIET_SECONDS /= QUIET_SPEEDUP
        logic.CALLER_GRACE_SECONDS /= float(os.environ[SPEEDUP_VARIABLE])
    answer: dict[str, Any] = importlib.import_module("lambdas.heartbeat.handler").handler(event, context)
    return answer
