"""A custom environment: the cart-pole, whose cart is to stay in the middle of the rail.

Importing this package registers `Example-Cartpole-Centred-Direct-v0`, with Isaac Lab's keys, for the simulator that it
is imported in. Entry points are strings, so that nothing else is imported before the task is made.
"""

from __future__ import annotations

from importlib.util import find_spec

import gymnasium

# Isaac Sim is there in NVIDIA's image, and not on a laptop.
_MODULE = f"{__name__}.isaac_lab" if find_spec("isaacsim") else f"{__name__}.embedded"

gymnasium.register(
    id="Example-Cartpole-Centred-Direct-v0",
    entry_point=f"{_MODULE}:CentredCartpoleEnv",
    disable_env_checker=True,
    kwargs={
        "env_cfg_entry_point": f"{_MODULE}:CentredCartpoleEnvCfg",
        "rsl_rl_cfg_entry_point": f"{_MODULE}:CentredCartpolePPORunnerCfg",
        "skrl_cfg_entry_point": f"{__name__}.agents:skrl_ppo_cfg.yaml",
        "rl_games_cfg_entry_point": f"{__name__}.agents:rl_games_ppo_cfg.yaml",
        "sb3_cfg_entry_point": f"{__name__}.agents:sb3_ppo_cfg.yaml",
    },
)
