"""The command lines of Isaac Lab's scripts (v2.3.2, scripts/reinforcement_learning/<library>/train.py)."""

from __future__ import annotations

import re
from pathlib import Path

from container.simulators.common.overrides import refuse_set_by_request
from container.simulators.common.ranks import Ranks
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import RlLibrary, TrainingConfig

_DEFAULT_SEED = 42
"""Isaac Lab's own, in all of its agents' settings."""

CHECKPOINT_INTERVAL: dict[RlLibrary, str] = {
    "rsl_rl": "agent.save_interval",
    "skrl": "agent.agent.experiment.checkpoint_interval",
    "rl_games": "agent.params.config.save_frequency",
}
"""skrl's is in time steps: only its agent's settings tell how many an iteration has."""
_ROLLOUTS = "agent.agent.rollouts"

_CAMERAS = re.compile(r"camera|rgb|depth|vision|visuomotor|image|resnet|theia", re.IGNORECASE)
"""What Isaac Lab's tasks that look at pictures have in their names."""


def train_arguments(training: TrainingConfig, ranks: Ranks, completed: int, directory: Path | None) -> list[str]:
    """Write the arguments of a library's train.py.

    Checkpoints are not among them: what the scripts do with one is not what a run needs (docs/decisions/0006).

    Args:
        training: What to train.
        ranks: This process among those that train together.
        completed: Iterations of earlier attempts.
        directory: The directory of the training that is continued.

    Raises:
        RequestError: An override is none of the task's or the agent's settings.
    """
    arguments = ["--task", training.task, "--num_envs", str(training.num_envs), "--headless"]
    arguments += ["--max_iterations", str(_max_iterations(training, completed))]
    if training.seed is not None or completed or ranks.is_distributed:
        arguments += ["--seed", str(_seed(training, ranks, completed))]
    if training.record_video:
        arguments.append("--video")
    if needs_cameras(training.task):
        arguments.append("--enable_cameras")
    if ranks.is_distributed:
        arguments.append("--distributed")
    if training.checkpoint_interval is not None and training.rl_library != "skrl":
        arguments.append(f"{CHECKPOINT_INTERVAL[training.rl_library]}={training.checkpoint_interval}")
    if directory is not None and training.rl_library == "rl_games":
        # Of the three libraries only this one lets its run's directory be named.
        arguments.append(f"++agent.params.config.full_experiment_name='{directory.name}'")
    return [*arguments, *overrides(training)]


def needs_cameras(task: str) -> bool:
    """Tell by its name whether a task renders: without being told so the app would refuse its sensors.

    Rendering costs start-up time and speed, so that it is not switched on for all.
    """
    return _CAMERAS.search(task) is not None


def overrides(training: TrainingConfig) -> list[str]:
    """Check the request's Hydra overrides, and give them as they are.

    Raises:
        RequestError: One is about something else than `env` and `agent`, or about what the request says elsewhere.
    """
    for override in training.hydra_overrides:
        key = override.lstrip("~+").partition("=")[0]
        if not key.startswith(("env.", "agent.")):
            raise RequestError(f"hydraOverrides: {override!r} is about {key}, allowed: env.<key> and agent.<key>")
        refuse_set_by_request(key)
    return training.hydra_overrides


def skrl_checkpoint_interval(training: TrainingConfig, rollouts: int) -> str | None:
    """Write skrl's interval as an override; None where the request gives none.

    Args:
        training: What to train.
        rollouts: Time steps per iteration, of the agent's settings; an override of the request's goes before it.
    """
    if training.checkpoint_interval is None:
        return None
    for override in training.hydra_overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == _ROLLOUTS and value.isdecimal():
            rollouts = int(value)
    return f"{CHECKPOINT_INTERVAL['skrl']}={training.checkpoint_interval * rollouts}"


def _max_iterations(training: TrainingConfig, completed: int) -> int:
    """Count as the library does: rl_games up to the end of the run; rsl_rl and skrl from where it stands."""
    left = training.max_iterations - completed
    if training.rl_library == "rl_games":
        return training.max_iterations
    # Where nothing is left, skrl's script would take 0 for "not given", and train as long as its settings say.
    return max(left, 1)


def _seed(training: TrainingConfig, ranks: Ranks, completed: int) -> int:
    """Give every process of every attempt a seed of its own, less what the scripts and libraries add themselves."""
    seed = ranks.seed(_DEFAULT_SEED if training.seed is None else training.seed, completed)
    # train.py of rsl_rl adds the local rank, that of rl_games the global one; skrl's leaves it to the library, which
    # adds the global one for its own random numbers, and gives the environments of all processes the same seed.
    return seed - {"rsl_rl": ranks.local_rank, "rl_games": ranks.rank, "skrl": 0}[training.rl_library]
