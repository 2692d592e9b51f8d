"""The command line of Isaac Lab 3.0's training (isaaclab_rl/entrypoints/common.py, and backends/train_<library>.py)."""

from __future__ import annotations

from pathlib import Path

from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.simulators.common.isaaclab.arguments import (
    checkpoint_interval_in_steps,
    counts_steps,
    iterations_to_do,
    seed_of,
)
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.isaaclab3.drawing import can_draw
from gaitway.simulators.isaaclab3.settings import TaskSettings

_DEVICE_SETTINGS: dict[RlLibrary, tuple[str, ...]] = {
    "rsl_rl": ("agent.device",),
    "sb3": ("agent.device",),
    "rl_games": ("agent.params.config.device", "agent.params.config.device_name"),
}
"""Settings of the device of the networks: `--device` is that of the physics, and the other libraries follow it."""
_COUNTS_WHOLE_RUN = ("rl_games",)
"""Libraries for which `--max_iterations` is the run's total; otherwise it is the number that remains."""
_HAS_NAME = ("rsl_rl", "rl_games", "skrl")
"""Libraries whose backend can be told the beginning of the name of the training's directory."""
_LENGTH_OF_TIME = len("2026-11-26_22-49-11")
_COMPILE = "agent.params.config.torch_compile"
"""On by default: on a CPU the compiler takes longer than what is gained."""


def train_arguments(
    task: str, training: TrainingConfig, settings: TaskSettings, ranks: Ranks, completed: int, directory: Path | None
) -> list[str]:
    """Write the arguments of Isaac Lab's training.

    No checkpoint is among them, and `--resume` least of all: it is taken for an abbreviation of
    `--resume_optimizer_state`, and trains from the beginning. We load checkpoints ourselves.

    Args:
        task: Name of the task.
        training: The training.
        settings: The task's.
        ranks: This process among those that train together.
        completed: Iterations of earlier attempts.
        directory: The directory of the training that is continued.
    """
    library = training.rl_library
    device = str(ranks.device())
    iterations = iterations_to_do(training, completed, counts_whole_run=library in _COUNTS_WHOLE_RUN)
    arguments = ["--rl_library", library, "--task", task, "--num_envs", str(training.num_envs)]
    arguments += ["--max_iterations", str(iterations)]
    if training.seed is not None or completed or ranks.is_distributed:
        # The backends add the rank, so that all processes have seeds of their own.
        seed = ranks.seed(seed_of(training), completed) - ranks.rank
        arguments += ["--seed", str(seed)]
    if training.record_video and ranks.leads and can_draw():
        # Not Kit's, which is the default.
        arguments += ["--video", "--viz", "newton_gl"]
    arguments += ["--distributed"] if ranks.is_distributed else ["--device", device]
    if directory is not None and library in _HAS_NAME:
        arguments += ["--run_timestamp", directory.name[:_LENGTH_OF_TIME]]
    arguments += settings.arguments
    if not ranks.is_distributed:
        arguments += device_arguments(library, device, settings)
    if library == "rl_games" and device == "cpu" and _COMPILE not in settings.given:
        arguments.append(f"{_COMPILE}=false")
    return [*arguments, *_interval(training, settings)]


def device_arguments(library: RlLibrary, device: str, settings: TaskSettings) -> list[str]:
    """Write the settings that let a library compute on the device of the physics, unless the request sets them."""
    return [f"{key}={device}" for key in _DEVICE_SETTINGS.get(library, ()) if key not in settings.given]


def _interval(training: TrainingConfig, settings: TaskSettings) -> list[str]:
    record = record_of(training.rl_library)
    if training.checkpoint_interval is None or record.settings.checkpoint_interval is None:
        return []
    if counts_steps(record):
        written = checkpoint_interval_in_steps(training, settings.agent["agent"]["rollouts"])
        return [written] if written else []
    return [f"{record.settings.checkpoint_interval}={training.checkpoint_interval}"]
