"""What a request becomes for Isaac Lab's own training, whatever its release."""

from __future__ import annotations

from gaitway.contracts.overrides import SEEDS, key_of
from gaitway.contracts.workload import TrainingConfig, WorkloadConfig
from gaitway.libraries import Counts, LibraryRecord, record_of

DEFAULT_SEED = 42
"""Isaac Lab's own, in all of its agents' settings."""


def seed_of(training: WorkloadConfig) -> int:
    """Return the seed of a request, which may give it as an override: the scripts' own option would replace that."""
    if training.seed is not None:
        return training.seed
    given = {key_of(override): override.partition("=")[2].strip() for override in training.hydra_overrides}
    text = next((given[key] for key in SEEDS if key in given), "")
    return int(text) if text.isdecimal() else DEFAULT_SEED


def counts_steps(library: LibraryRecord) -> bool:
    """Return whether a library's settings count checkpoints' intervals in steps."""
    return library.counts is Counts.STEPS


def checkpoint_interval_in_steps(training: TrainingConfig, rollouts: int) -> str | None:
    """Write the interval of a library that counts steps as an override; None if the request has none.

    Args:
        training: The training.
        rollouts: Time steps per iteration, from the agent's settings; an override in the request takes precedence.
    """
    if training.checkpoint_interval is None:
        return None
    settings = record_of(training.rl_library).settings
    for override in training.hydra_overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == settings.steps and value.isdecimal():
            rollouts = int(value)
    return f"{settings.checkpoint_interval}={training.checkpoint_interval * rollouts}"


def iterations_to_do(training: TrainingConfig, completed: int, *, counts_whole_run: bool) -> int:
    """Count iterations as a library's script does: to the end of the run, or from the resumed one."""
    if counts_whole_run:
        return training.max_iterations
    # If no iterations remain, skrl's script would take 0 for "not given", and train as long as its settings say.
    return max(training.max_iterations - completed, 1)
