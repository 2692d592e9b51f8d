"""Build a task's environment as it is, step it without actions, and print its robot's lowest height and its joints."""

from __future__ import annotations

import argparse
import sys

import isaaclab_tasks  # noqa: F401 - registers the tasks
from isaaclab.app import add_launcher_args, launch_simulation
from isaaclab_tasks.utils import resolve_task_config, setup_preset_cli

task = sys.argv[1]
parser = argparse.ArgumentParser()
add_launcher_args(parser)
options, rest = setup_preset_cli(parser, ["--device", "cpu", "physics=newton_mjwarp"])
sys.argv[1:] = rest
config, _ = resolve_task_config(task, "skrl_cfg_entry_point")
config.scene.num_envs = 2
config.sim.device = "cpu"
with launch_simulation(config, options):
    import gymnasium
    import torch

    environment = gymnasium.make(task, cfg=config).unwrapped
    environment.reset()
    robot = next(iter(environment.scene.articulations.values()))
    if hasattr(environment, "action_spaces"):  # several agents
        still = {agent: torch.zeros(2, space.shape[0]) for agent, space in environment.action_spaces.items()}
    else:
        still = torch.zeros(2, environment.single_action_space.shape[0])
    for _ in range(30):
        environment.step(still)
    height = robot.data.root_pos_w
    lowest = float((height.torch if hasattr(height, "torch") else height)[:, 2].min())
    print(lowest, *robot.joint_names)  # noqa: T201 - what the test reads
    sys.stdout.flush()
