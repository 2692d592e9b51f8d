"""Who may look into a running simulation: decided before a machine is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Json

from gaitway.contracts.errors import RequestError
from gaitway.libraries.simulators import SIMULATORS
from lambdas.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaitway.contracts.workload import WorkloadConfig
    from gaitway.libraries.simulators import Simulator


class LookedIntoEnvironment(Environment):
    """The variables of a function that knows whether simulations can be looked into."""

    allow_live_view: Annotated[Json[bool], Field(alias="GAITWAY_ALLOW_LIVE_VIEW")]


def check_live_view(training: WorkloadConfig, simulators: Iterable[Simulator], *, allowed: bool) -> None:
    """Refuse a live view that nobody could see.

    Args:
        training: What to run.
        simulators: Those that may run it.
        allowed: The setting `allowLiveView`.

    Raises:
        RequestError: Says what has one.
    """
    if not training.live_view:
        return
    if not any(SIMULATORS[simulator].has_live_view for simulator in simulators):
        having = " and ".join(support.description for support in SIMULATORS.values() if support.has_live_view)
        without = " and ".join(SIMULATORS[simulator].description for simulator in simulators)
        raise RequestError(f"trainingConfig.liveView is true, which {having} has, and {without} has not: leave it out")
    if not allowed:
        raise RequestError(
            "trainingConfig.liveView is true, which this deployment does not allow: leave it out, or deploy with the "
            "setting allowLiveView"
        )
