"""Mirror of Isaac Lab 2.3.2's scripts/reinforcement_learning/rsl_rl/train.py: see mirror.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mirror

options, launcher = mirror.start("rsl_rl")

import isaaclab_tasks  # noqa: F401
from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper
from isaaclab_tasks.utils.hydra import hydra_task_config
from rsl_rl.runners import DistillationRunner, OnPolicyRunner


@hydra_task_config(options.task, options.agent)
def main(env_cfg: Any, agent_cfg: Any) -> None:
    if options.seed is not None:
        agent_cfg.seed = options.seed
    if options.num_envs is not None:
        env_cfg.scene.num_envs = options.num_envs
    if options.max_iterations is not None:
        agent_cfg.max_iterations = options.max_iterations
    env_cfg.seed = agent_cfg.seed
    env_cfg.sim.device = options.device
    if options.distributed:
        env_cfg.sim.device = agent_cfg.device = f"cuda:{launcher.local_rank}"
        env_cfg.seed = agent_cfg.seed = agent_cfg.seed + launcher.local_rank
    directory = mirror.directory_of("rsl_rl", agent_cfg.experiment_name)
    env = RslRlVecEnvWrapper(mirror.make(options, env_cfg, directory), clip_actions=agent_cfg.clip_actions)
    runners = {"OnPolicyRunner": OnPolicyRunner, "DistillationRunner": DistillationRunner}
    if agent_cfg.class_name not in runners:
        raise ValueError(f"Unsupported runner class: {agent_cfg.class_name}")
    make = runners[agent_cfg.class_name]
    runner = make(env, agent_cfg.to_dict(), log_dir=str(directory), device=agent_cfg.device)
    runner.add_git_repo_to_log(__file__)
    mirror.dump(directory, env_cfg, agent_cfg)
    runner.learn(num_learning_iterations=agent_cfg.max_iterations, init_at_random_ep_len=True)
    env.close()


if __name__ == "__main__":
    main()
    launcher.app.close()
