"""The policy for a robot: Isaac Lab's own export with LEAPP, from a robot's sensors to the targets of its joints.

`exported/policy.onnx` is the network alone: its user computes its observations and applies its actions. LEAPP
traces that, too, and writes ONNX and a YAML that names each input and output (isaaclab_rl/entrypoints/backends/
export_common.py). It runs in a process of its own, `python -m gaitway.simulators.isaaclab3.leapp`, since it needs torch
without TorchScript from its first import on, and an environment in which tensors are followed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gaitway.contracts.limits import EXIT_ALLOWANCE_SECONDS
from gaitway.contracts.simulation import LEAPP_DIRECTORY, NO_LEAPP, SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.exits import end
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.isaaclab3.arguments import device_arguments
from gaitway.simulators.isaaclab3.installation import enter_isaac_lab
from gaitway.simulators.isaaclab3.settings import TaskSettings, read_settings
from gaitway.simulators.isaaclab3.tasks import register_tasks

GRAPH = "policy"
"""LEAPP's files are named after it: policy.yaml."""
_LOG = "log.txt"
_ALLOWANCE = "GAITWAY_EXIT_ALLOWANCE_SECONDS"
_EARLIER_SECONDS = 10.0
"""The runner ends a process that goes on for its allowance after the last iteration; this ends before."""
_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAST_LINES = 30


def export_for_robot(job_file: Path, job: SimulationJob, settings: TaskSettings, directory: Path, final: Path) -> None:
    """Let LEAPP export a training's policy, or write down why it cannot. It never fails a training.

    Args:
        job_file: The training's `simulation.json`.
        job: Its contents.
        settings: The task's.
        directory: The training's directory.
        final: Its last checkpoint.
    """
    shutil.rmtree(directory / LEAPP_DIRECTORY, ignore_errors=True)
    # What stays if the runner ends this process.
    _say_no(directory, "the process was ended before it was written")
    reason = _why_not(job, settings)
    if reason is None:
        try:
            reason = _export(job_file, directory, final)
        except OSError as error:
            reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        _say_no(directory, reason)


def _say_no(directory: Path, reason: str) -> None:
    with written_whole(directory / NO_LEAPP) as temporary:
        temporary.write_text(reason, encoding="utf-8")


def _why_not(job: SimulationJob, settings: TaskSettings) -> str | None:
    """Say what is known before it is tried; None if it is worth trying."""
    # Whatever defines its configuration has imported this.
    from isaaclab.envs import ManagerBasedRLEnvCfg

    library = job.asks(TrainingConfig).rl_library
    if not isinstance(settings.env, ManagerBasedRLEnvCfg):
        return (
            "Isaac Lab 3.0 exports manager-based tasks with LEAPP; this is a direct task, whose own code computes "
            "observations and applies actions"
        )
    if library == "sb3" and settings.agent.get("normalize_input"):
        # export_sb3.py would write a policy without it, as if there were none.
        return (
            "Isaac Lab 3.0 looks for sb3's normalisation of observations in a file of pickled code, which a run does "
            "not have"
        )
    if importlib.util.find_spec("leapp") is None:
        return "the package leapp is not installed"
    return None


def _export(job_file: Path, directory: Path, final: Path) -> str | None:
    """Run the export in a process of its own; return why it failed."""
    limit = float(os.environ.get(_ALLOWANCE, EXIT_ALLOWANCE_SECONDS)) - _EARLIER_SECONDS
    variables = {name: value for name, value in os.environ.items() if name not in _OF_TORCHRUN}
    # Beside its place, so that it can be moved there as a whole; Isaac Lab writes into its working directory, too.
    with TemporaryDirectory(dir=directory, prefix=".leapp-") as made:
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "gaitway.simulators.isaaclab3.leapp", job_file.absolute(), final.absolute()],
                cwd=made,
                env=variables | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it takes more than {limit:.0f} s"
        lines = [line for line in ended.stdout.splitlines() if line.strip()]
        files = Path(made) / GRAPH
        if ended.returncode or not (files / f"{GRAPH}.yaml").is_file():
            sys.stdout.write("\n".join([*lines[-_LAST_LINES:], ""]))
            return lines[-1] if lines else f"its process ended with {ended.returncode}"
        (files / _LOG).unlink(missing_ok=True)
        files.rename(directory / LEAPP_DIRECTORY)
    (directory / NO_LEAPP).unlink()
    return None


def main(arguments: list[str]) -> int:
    """Export one checkpoint to the working directory."""
    parser = argparse.ArgumentParser(prog="python -m gaitway.simulators.isaaclab3.leapp", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json of the training")
    parser.add_argument("checkpoint", type=Path)
    options = parser.parse_args(arguments)
    try:
        return _run(SimulationJob.model_validate_json(options.job.read_text(encoding="utf-8")), options.checkpoint)
    except BaseException as error:
        traceback.print_exc()
        # In one line, whatever the message has.
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        return 1


def _run(job: SimulationJob, checkpoint: Path) -> int:
    import torch

    # As isaaclab_rl.entrypoints.run_export_cli does, too late for tasks that are registered before.
    state: Any = torch.jit._state
    state.disable()
    assets = enter_isaac_lab()
    training = job.asks(TrainingConfig)
    task = register_tasks(job)
    settings = read_settings(task, job)
    assets.watch()

    from isaaclab_rl.entrypoints.dispatch import run_export_cli

    device = str(Ranks().device())
    code: int = run_export_cli(
        [
            *("--rl_library", training.rl_library, "--task", task, "--checkpoint", str(checkpoint)),
            *("--device", device, "--export_save_path", str(Path.cwd()), "--export_task_name", GRAPH),
            "--disable_graph_visualization",
            *settings.arguments,
            *device_arguments(training.rl_library, device, settings),
        ]
    )
    return code


if __name__ == "__main__":
    end(main(sys.argv[1:]))
