"""The command lines of Isaac Lab's scripts (v2.3.2, scripts/reinforcement_learning/<library>/train.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.overrides import TREES, key_of, tree_of
from gaitway.contracts.workload import TrainingConfig, WorkloadConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.simulators.common.isaaclab.arguments import counts_steps, iterations_to_do, seed_of
from gaitway.simulators.common.ranks import Ranks


@dataclass(frozen=True)
class Script:
    """What a library's train.py does with its arguments."""

    counts_whole_run: bool
    """Whether `--max_iterations` is the run's total; otherwise it is the number that remains."""
    adds_to_seed: Callable[[Ranks], int]
    """What the script adds to `--seed`."""
    run_directory: str | None
    """Setting that names the run's directory."""


SCRIPTS: dict[RlLibrary, Script] = {
    "rsl_rl": Script(False, lambda ranks: ranks.local_rank, None),
    # It leaves the seed to the library, which adds the global rank for its own random numbers, and gives the
    # environments of all processes the same seed.
    "skrl": Script(False, lambda _: 0, None),
    "rl_games": Script(True, lambda ranks: ranks.rank, "++agent.params.config.full_experiment_name"),
}


def find_script(library: RlLibrary) -> Script:
    """Find what a library's train.py does.

    Raises:
        RequestError: The library is not supported here.
    """
    if library not in SCRIPTS:
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, which this simulator does not train with, allowed: "
            f"{', '.join(SCRIPTS)}"
        )
    return SCRIPTS[library]


_CAMERAS = re.compile(r"camera|rgb|depth|vision|visuomotor|image|resnet|theia", re.IGNORECASE)
"""Parts of the names of Isaac Lab's tasks that use camera images."""


def train_arguments(training: TrainingConfig, ranks: Ranks, completed: int, directory: Path | None) -> list[str]:
    """Write the arguments of a library's train.py.

    Checkpoints are not among them: the scripts' own way of loading one does not fit a run (docs/decisions/0006).

    Args:
        training: The training.
        ranks: This process among those that train together.
        completed: Iterations of earlier attempts.
        directory: The directory of the training that is continued.

    Raises:
        RequestError: An override is not one of the task's or the agent's settings.
    """
    library = record_of(training.rl_library)
    script = find_script(training.rl_library)
    iterations = iterations_to_do(training, completed, counts_whole_run=script.counts_whole_run)
    arguments = ["--task", training.task, "--num_envs", str(training.num_envs), "--headless"]
    arguments += ["--max_iterations", str(iterations)]
    if training.seed is not None or completed or ranks.is_distributed:
        arguments += ["--seed", str(_seed(training, script, ranks, completed))]
    if training.record_video:
        arguments.append("--video")
    if needs_cameras(training):
        arguments.append("--enable_cameras")
    if ranks.is_distributed:
        arguments.append("--distributed")
    # An interval in steps is written when the agent's settings are known: see `checkpoint_interval_in_steps`.
    if training.checkpoint_interval is not None and not counts_steps(library):
        arguments.append(f"{library.settings.checkpoint_interval}={training.checkpoint_interval}")
    if directory is not None and script.run_directory is not None:
        arguments.append(f"{script.run_directory}='{directory.name}'")
    return [*arguments, *overrides(training)]


def needs_cameras(training: WorkloadConfig) -> bool:
    """Return whether a task renders, as the request says, or else its name: without the option its sensors fail.

    Rendering costs start-up time and speed, so that it is not switched on for all tasks.
    """
    asked = training.enable_cameras
    return _CAMERAS.search(training.task) is not None if asked is None else asked


def overrides(training: WorkloadConfig) -> list[str]:
    """Check the request's Hydra overrides, and return them unchanged.

    Raises:
        RequestError: One is not about `env` or `agent`.
    """
    for override in training.hydra_overrides:
        if tree_of(override) not in TREES:
            raise RequestError(
                f"hydraOverrides: {override!r} is about {key_of(override)}, allowed: env.<key> and agent.<key>"
            )
    return training.hydra_overrides


def _seed(training: TrainingConfig, script: Script, ranks: Ranks, completed: int) -> int:
    """Give every process of every attempt its own seed, less what the scripts and libraries add themselves."""
    seed = ranks.seed(seed_of(training), completed)
    return seed - script.adds_to_seed(ranks)
