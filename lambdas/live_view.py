"""Who may look into a running simulation: decided before a machine is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Json

from gaitway.contracts.errors import RequestError
from gaitway.libraries.simulators import SIMULATORS
from lambdas.environment import Environment

if TYPE_CHECKING:
    from gaitway.contracts.workload import WorkloadConfig
    from gaitway.libraries.simulators import Simulator


class LookedIntoEnvironment(Environment):
    """The variables of a function that knows whether simulations can be looked into."""

    allow_live_view: Annotated[Json[bool], Field(alias="GAITWAY_ALLOW_LIVE_VIEW")]


def check_live_view(training: WorkloadConfig, simulator: Simulator, *, allowed: bool) -> None:
    """Refuse a live view that nobody could see.

    Args:
        training: What to run.
        simulator: The one that runs it.
        allowed: The setting `allowLiveView`.

    Raises:
        RequestError: Says what has one.
    """
    if not training.live_view:
        return
    if not SIMULATORS[simulator].has_live_view:
        having = " and ".join(support.description for support in SIMULATORS.values() if support.has_live_view)
        raise RequestError(
            f"trainingConfig.liveView is true, which {having} has, but the task runs in "
            f"{SIMULATORS[simulator].description}, which has not: leave it out"
        )
    if not allowed:
        raise RequestError(
            "trainingConfig.liveView is true, which this deployment does not allow: leave it out, or deploy with the "
            "setting allowLiveView"
        )
