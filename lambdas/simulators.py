"""What the simulators of the deployment's image support."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Json

from gaitway.contracts.errors import RequestError
from gaitway.contracts.overrides import CHOICES, tree_of
from gaitway.libraries.simulators import SIMULATORS, Simulator, supported_by
from lambdas.environment import Environment

if TYPE_CHECKING:
    from gaitway.contracts.workload import WorkloadConfig

Simulators = tuple[Simulator, ...]


class SimulatingEnvironment(Environment):
    """The variables of a function that knows the simulators."""

    simulators: Annotated[Json[Annotated[Simulators, Field(min_length=1)]], Field(alias="GAITWAY_SIMULATORS")]


def check_simulator(training: WorkloadConfig, simulators: Simulators) -> None:
    """Refuse a request that no deployed simulator can run, before a machine is paid for.

    Raises:
        RequestError: Names what is supported.
    """
    deployed = " and ".join(SIMULATORS[simulator].description for simulator in simulators)
    for override in training.hydra_overrides:
        if tree_of(override) in CHOICES and not any(SIMULATORS[simulator].has_presets for simulator in simulators):
            raise RequestError(
                f"trainingConfig.hydraOverrides has {override!r}, which is not there in {deployed}, allowed: env.<key> "
                "and agent.<key>"
            )
    allowed = supported_by(simulators)
    if training.library is not None and training.library not in allowed:
        raise RequestError(
            f"trainingConfig.rlLibrary is {training.library!r}, which {deployed} does not support here, allowed: "
            f"{', '.join(allowed)}"
        )
