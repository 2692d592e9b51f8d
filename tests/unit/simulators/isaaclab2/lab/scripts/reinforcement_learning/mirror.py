"""Isaac Lab 2.3.2's train.py, as far as a caller sees it: what all three have in common.

Written anew after https://github.com/isaac-sim/IsaacLab/tree/v2.3.2/scripts/reinforcement_learning: the same options,
and the same calls in the same order. The launcher's own options are Isaac Lab's.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any


def make_parser(library: str) -> argparse.ArgumentParser:
    """The options of the three scripts, without those of the launcher."""
    parser = argparse.ArgumentParser(prog=f"{library}/train.py")
    parser.add_argument("--video", action="store_true", default=False)
    parser.add_argument("--video_length", type=int, default=200)
    parser.add_argument("--video_interval", type=int, default=2000)
    parser.add_argument("--num_envs", type=int)
    parser.add_argument("--task", type=str)
    default = None if library == "skrl" else f"{library}_cfg_entry_point"
    parser.add_argument("--agent", type=str, default=default)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max_iterations", type=int)
    parser.add_argument("--distributed", action="store_true", default=False)
    parser.add_argument("--export_io_descriptors", action="store_true", default=False)
    parser.add_argument("--ray-proc-id", "-rid", type=int)
    parser.add_argument("--checkpoint", type=str)
    if library == "rsl_rl":
        group = parser.add_argument_group("rsl_rl")
        group.add_argument("--experiment_name", type=str)
        group.add_argument("--run_name", type=str)
        group.add_argument("--resume", action="store_true", default=False)
        group.add_argument("--load_run", type=str)
        group.add_argument("--logger", type=str, choices=("wandb", "tensorboard", "neptune"))
        group.add_argument("--log_project_name", type=str)
    if library == "skrl":
        parser.add_argument("--ml_framework", type=str, default="torch", choices=("torch", "jax", "jax-numpy"))
        parser.add_argument("--algorithm", type=str, default="PPO", choices=("AMP", "PPO", "IPPO", "MAPPO"))
    if library == "rl_games":
        for name in ("--sigma", "--wandb-project-name", "--wandb-entity", "--wandb-name"):
            parser.add_argument(name, type=str)
        parser.add_argument("--track", default=False, nargs="?", const=True)
    return parser


def start(library: str) -> tuple[argparse.Namespace, Any]:
    """Parse the command line, leave the rest of it to Hydra, and start the app."""
    from isaaclab.app import AppLauncher

    parser = make_parser(library)
    AppLauncher.add_app_launcher_args(parser)
    options, for_hydra = parser.parse_known_args()
    if options.video:
        options.enable_cameras = True
    sys.argv = [sys.argv[0], *for_hydra]
    return options, AppLauncher(options)


def directory_of(library: str, experiment: str, suffix: str = "") -> Path:
    """Where a training goes."""
    return Path("logs", library, experiment).absolute() / f"{datetime.now():%Y-%m-%d_%H-%M-%S}{suffix}"


def dump(directory: Path, env_cfg: Any, agent_cfg: Any) -> None:
    """Write down what is trained with."""
    from isaaclab.utils.io import dump_yaml

    dump_yaml(str(directory / "params" / "env.yaml"), env_cfg)
    dump_yaml(str(directory / "params" / "agent.yaml"), agent_cfg)


def make(options: argparse.Namespace, env_cfg: Any, directory: Path) -> Any:
    """Make the environment, recorded where that is asked for."""
    import gymnasium as gym

    env_cfg.log_dir = str(directory)
    env = gym.make(options.task, cfg=env_cfg, render_mode="rgb_array" if options.video else None)
    if not options.video:
        return env
    return gym.wrappers.RecordVideo(
        env,
        video_folder=str(directory / "videos" / "train"),
        step_trigger=lambda step: step % options.video_interval == 0,
        video_length=options.video_length,
        disable_logger=True,
    )
