"""Mirror of Isaac Lab 2.3.2's scripts/reinforcement_learning/rl_games/train.py: see mirror.py."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mirror

options, launcher = mirror.start("rl_games")

import isaaclab_tasks  # noqa: F401
from isaaclab_rl.rl_games import RlGamesGpuEnv, RlGamesVecEnvWrapper
from isaaclab_tasks.utils.hydra import hydra_task_config
from rl_games.common import env_configurations, vecenv
from rl_games.common.algo_observer import IsaacAlgoObserver
from rl_games.torch_runner import Runner


@hydra_task_config(options.task, options.agent)
def main(env_cfg: Any, agent_cfg: Any) -> None:
    if options.num_envs is not None:
        env_cfg.scene.num_envs = options.num_envs
    env_cfg.sim.device = options.device
    params = agent_cfg["params"]
    config = params["config"]
    if options.seed is not None:
        params["seed"] = options.seed
    if options.max_iterations is not None:
        config["max_epochs"] = options.max_iterations
    if options.distributed:
        params["seed"] += launcher.global_rank
        env_cfg.sim.device = f"cuda:{launcher.local_rank}"
        config |= {"device": env_cfg.sim.device, "device_name": env_cfg.sim.device, "multi_gpu": True}
    env_cfg.seed = params["seed"]
    directory = mirror.directory_of("rl_games", config["name"])
    directory = directory.with_name(config.get("full_experiment_name", directory.name))
    config |= {"train_dir": str(directory.parent), "full_experiment_name": directory.name}
    mirror.dump(directory, env_cfg, agent_cfg)
    limits = params["env"]
    env = RlGamesVecEnvWrapper(
        mirror.make(options, env_cfg, directory),
        config["device"],
        limits.get("clip_observations", math.inf),
        limits.get("clip_actions", math.inf),
        limits.get("obs_groups"),
        limits.get("concate_obs_groups", True),
    )
    vecenv.register("IsaacRlgWrapper", lambda name, actors, **kwargs: RlGamesGpuEnv(name, actors, **kwargs))
    env_configurations.register("rlgpu", {"vecenv_type": "IsaacRlgWrapper", "env_creator": lambda **_: env})
    config["num_actors"] = env.unwrapped.num_envs
    runner = Runner(IsaacAlgoObserver())
    runner.load(agent_cfg)
    runner.reset()
    runner.run({"train": True, "play": False, "sigma": None})
    env.close()


if __name__ == "__main__":
    main()
    launcher.app.close()
