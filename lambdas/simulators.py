"""The simulators of the deployment, as its functions know them; `gaitway.workloads.simulators` chooses among them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Json

from gaitway.workloads.simulators import Simulators
from lambdas.environment import Environment


class SimulatingEnvironment(Environment):
    """The variables of a function that knows the simulators."""

    simulators: Annotated[Json[Annotated[Simulators, Field(min_length=1)]], Field(alias="GAITWAY_SIMULATORS")]
