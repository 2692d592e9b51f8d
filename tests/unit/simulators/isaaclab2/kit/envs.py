"""Stand-in for `isaaclab.envs`: what Isaac Lab's wrappers, Hydra and settings ask of it."""

from __future__ import annotations

from typing import Any

import gymnasium
from isaaclab.utils import configclass

VecEnvObs = dict


@configclass
class SimulationCfg:
    """Of isaaclab.sim."""

    device: str = "cuda:0"
    dt: float = 1 / 120


@configclass
class InteractiveSceneCfg:
    """Of isaaclab.scene."""

    num_envs: int = 4096


@configclass
class DirectRLEnvCfg:
    """What the scripts set, and the wrappers read."""

    sim: SimulationCfg = SimulationCfg()
    scene: InteractiveSceneCfg = InteractiveSceneCfg()
    seed: int | None = None
    log_dir: str | None = None
    is_finite_horizon: bool = False
    observation_space: Any = 4
    action_space: Any = 1
    state_space: Any = 0


@configclass
class ManagerBasedRLEnvCfg(DirectRLEnvCfg):
    """Of manager-based tasks."""


class DirectRLEnv(gymnasium.Env[Any, Any]):
    """What the wrappers take for an environment of Isaac Lab."""


class ManagerBasedRLEnv(DirectRLEnv):
    """Of manager-based tasks."""


class DirectMARLEnv(gymnasium.Env[Any, Any]):
    """Of several agents."""


class DirectMARLEnvCfg:
    """Of several agents."""


def multi_agent_to_single_agent(env: Any) -> Any:
    """Of several agents."""
    raise NotImplementedError
