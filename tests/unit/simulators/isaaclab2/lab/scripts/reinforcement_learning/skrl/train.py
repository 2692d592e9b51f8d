"""Mirror of Isaac Lab 2.3.2's scripts/reinforcement_learning/skrl/train.py: see mirror.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mirror

options, launcher = mirror.start("skrl")

import isaaclab_tasks  # noqa: F401
from isaaclab_rl.skrl import SkrlVecEnvWrapper
from isaaclab_tasks.utils.hydra import hydra_task_config
from skrl.utils.runner.torch import Runner


@hydra_task_config(options.task, "skrl_cfg_entry_point")
def main(env_cfg: Any, agent_cfg: Any) -> None:
    if options.num_envs is not None:
        env_cfg.scene.num_envs = options.num_envs
    env_cfg.sim.device = f"cuda:{launcher.local_rank}" if options.distributed else options.device
    if options.max_iterations:
        agent_cfg["trainer"]["timesteps"] = options.max_iterations * agent_cfg["agent"]["rollouts"]
    agent_cfg["trainer"]["close_environment_at_exit"] = False
    if options.seed is not None:
        agent_cfg["seed"] = options.seed
    env_cfg.seed = agent_cfg["seed"]
    experiment = agent_cfg["agent"]["experiment"]
    suffix = f"_{options.algorithm.lower()}_{options.ml_framework}"
    if experiment["experiment_name"]:
        suffix += f"_{experiment['experiment_name']}"
    directory = mirror.directory_of("skrl", experiment["directory"], suffix)
    experiment |= {"directory": str(directory.parent), "experiment_name": directory.name}
    mirror.dump(directory, env_cfg, agent_cfg)
    env = SkrlVecEnvWrapper(mirror.make(options, env_cfg, directory), ml_framework=options.ml_framework)
    Runner(env, agent_cfg).run()
    env.close()


if __name__ == "__main__":
    main()
    launcher.app.close()
