"""The simulators, each a separate program in its own process; and the names that custom environments import.

The names in `__all__` are the public ones for users' packages: docs/custom-environments.md explains each. They are for
the embedded simulator, since on Isaac Lab an environment is Isaac Lab's own. Each is imported on first use: the package
itself imports neither torch nor a simulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gaitway.installation import extra

if TYPE_CHECKING:
    from gaitway.simulators.common.episodes import TIME_OUT, TRUNCATED, Step
    from gaitway.simulators.embedded.cartpole.base import (
        CartpoleConfig,
        CartpoleEnvironment,
        SceneConfig,
        SimulationConfig,
    )
    from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment
    from gaitway.simulators.embedded.cartpole.dynamics import State as CartpoleState
    from gaitway.simulators.embedded.cartpole.manager_based import (
        CartpoleManagerBasedConfig,
        CartpoleManagerBasedEnvironment,
    )
    from gaitway.simulators.embedded.libraries.rsl_rl_config import AgentConfig as RslRlAgentConfig
    from gaitway.simulators.embedded.libraries.rsl_rl_config import AlgorithmConfig as RslRlAlgorithmConfig
    from gaitway.simulators.embedded.libraries.rsl_rl_config import PolicyConfig as RslRlPolicyConfig
    from gaitway.simulators.embedded.vector_environment import VectorEnvironment
    from gaitway.simulators.embedded.video import Ending, Painter, View

__all__ = [
    "TIME_OUT",
    "TRUNCATED",
    "CartpoleConfig",
    "CartpoleDirectConfig",
    "CartpoleDirectEnvironment",
    "CartpoleEnvironment",
    "CartpoleManagerBasedConfig",
    "CartpoleManagerBasedEnvironment",
    "CartpoleState",
    "Ending",
    "Painter",
    "RslRlAgentConfig",
    "RslRlAlgorithmConfig",
    "RslRlPolicyConfig",
    "SceneConfig",
    "SimulationConfig",
    "Step",
    "VectorEnvironment",
    "View",
]

_CARTPOLE = "embedded.cartpole"
_RSL_RL = "embedded.libraries.rsl_rl_config"
_PLACES = {
    "TIME_OUT": "common.episodes:TIME_OUT",
    "TRUNCATED": "common.episodes:TRUNCATED",
    "CartpoleConfig": f"{_CARTPOLE}.base:CartpoleConfig",
    "CartpoleDirectConfig": f"{_CARTPOLE}.direct:CartpoleDirectConfig",
    "CartpoleDirectEnvironment": f"{_CARTPOLE}.direct:CartpoleDirectEnvironment",
    "CartpoleEnvironment": f"{_CARTPOLE}.base:CartpoleEnvironment",
    "CartpoleManagerBasedConfig": f"{_CARTPOLE}.manager_based:CartpoleManagerBasedConfig",
    "CartpoleManagerBasedEnvironment": f"{_CARTPOLE}.manager_based:CartpoleManagerBasedEnvironment",
    "CartpoleState": f"{_CARTPOLE}.dynamics:State",
    "Ending": "embedded.video:Ending",
    "Painter": "embedded.video:Painter",
    "RslRlAgentConfig": f"{_RSL_RL}:AgentConfig",
    "RslRlAlgorithmConfig": f"{_RSL_RL}:AlgorithmConfig",
    "RslRlPolicyConfig": f"{_RSL_RL}:PolicyConfig",
    "SceneConfig": f"{_CARTPOLE}.base:SceneConfig",
    "SimulationConfig": f"{_CARTPOLE}.base:SimulationConfig",
    "Step": "common.episodes:Step",
    "VectorEnvironment": "embedded.vector_environment:VectorEnvironment",
    "View": "embedded.video:View",
}
"""The module of each name; type checkers use the imports above."""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own_name = _PLACES[name].partition(":")
    with extra("simulators", f"{__name__}.{name}"):
        return getattr(import_module(f"{__name__}.{module}"), own_name)
