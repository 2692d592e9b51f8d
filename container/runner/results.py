"""Write down what was asked for, and what came of it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gaitway.contracts.artifacts import CONFIG_FILES, RESULTS, Results, RunConfig, TrainingSummary
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.run import RunSpec
from gaitway.contracts.simulation import EvaluationSummary
from gaitway.outputs.results import results_of, write_json

_LIBRARIES = ("gaitway", "gymnasium", "isaaclab", "isaacsim", "rl-games", "rsl-rl-lib", "skrl", "torch")


def write_config(directory: Path, spec: RunSpec, image: str | None) -> None:
    """Write `training-config.json` or `evaluation-config.json`.

    Args:
        directory: The run's directory.
        spec: The run.
        image: The job's container image, with its digest; None where it runs in none.
    """
    config = RunConfig(
        run_id=spec.run_id,
        name=spec.name,
        description=spec.description,
        training_config=spec.training,
        compute_config=spec.compute,
        policy=str(spec.policy) if spec.policy else None,
        resume_checkpoint=str(spec.resume_checkpoint) if spec.resume_checkpoint else None,
        custom_environment=str(spec.custom_environment) if spec.custom_environment else None,
        versions=library_versions(),
        image=image,
    )
    write_json(directory / CONFIG_FILES[spec.training.mode], config)


def write_results(
    directory: Path,
    spec: RunSpec,
    *,
    attempts: int,
    started_at: datetime,
    outcome: TrainingSummary | EvaluationSummary | Failure,
    cost: Cost | None,
    history: RunHistory,
) -> Results:
    """Write `results.json`.

    Args:
        directory: The run's directory.
        spec: The run.
        attempts: How often it was tried, with this time.
        started_at: When the first attempt began.
        outcome: What came of it.
        cost: What all attempts have cost; None where no price is known.
        history: How they went.
    """
    results = results_of(
        spec,
        attempts=attempts,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        outcome=outcome,
        cost=cost,
        history=history,
    )
    write_json(directory / RESULTS, results)
    return results


def library_versions() -> dict[str, str]:
    """Tell the versions of Python and of the simulators' libraries, without importing them."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions
