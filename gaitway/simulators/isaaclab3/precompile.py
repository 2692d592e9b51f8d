"""Compile the kernels of the classic tasks for GPUs, on a machine without one: the image's build does so.

`WARP_CACHE_PATH=FOLDER python -m gaitway.simulators.isaaclab3.precompile 86,89,90 TASK...`. Each task is built and
stepped on the CPU, so that Warp knows its kernels; what is known then is compiled for the architectures, too. What a
task launches on GPUs only is compiled by the first job, which keeps it (kernels.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def precompile(task: str, architectures: Sequence[int]) -> None:
    """Compile the kernels of a task; the process should end afterwards, since an application is started in it.

    Args:
        task: Its name in Isaac Lab 3.0.
        architectures: Compute capabilities, without the dot.
    """
    import isaaclab_tasks  # noqa: F401 - registers the tasks
    from isaaclab.app import add_launcher_args, launch_simulation
    from isaaclab_tasks.utils import resolve_task_config, setup_preset_cli

    parser = argparse.ArgumentParser()
    add_launcher_args(parser)
    options, rest = setup_preset_cli(parser, ["--device", "cpu", "physics=newton_mjwarp"])
    sys.argv[1:] = rest
    config, _ = resolve_task_config(task, "rsl_rl_cfg_entry_point")
    config.scene.num_envs = 1
    config.sim.device = "cpu"
    with launch_simulation(config, options):
        import gymnasium
        import torch
        import warp

        # Also those of one kernel only, which Warp has in no list of its own.
        modules: dict[int, Any] = {}
        load = warp._src.context.Module.load

        def remembered(module: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - Warp's own
            modules[id(module)] = module
            return load(module, *arguments, **options)

        warp._src.context.Module.load = remembered
        environment: Any = gymnasium.make(task, cfg=config).unwrapped
        environment.reset()
        environment.step(torch.zeros(1, environment.single_action_space.shape[0]))
        compiled = 0
        for module in modules.values():
            try:
                warp.compile_aot_module(module, arch=list(architectures))
                compiled += 1
            except Exception as error:
                sys.stdout.write(f"{module.name} is left to the first job: {error}\n")
        # Within, since the end of the simulation ends the process.
        sys.stdout.write(f"{task}: {compiled} of {len(modules)} modules are compiled for {architectures}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Compile the kernels of each task in a process of its own."""
    architectures, *tasks = arguments
    if len(tasks) > 1:
        for task in tasks:
            subprocess.run([sys.executable, "-m", __spec__.name, architectures, task], check=True)
        return
    precompile(tasks[0], [int(number) for number in architectures.split(",")])


if __name__ == "__main__":
    main(sys.argv[1:])
