"""Write the documents about the request and its results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gaitway.contracts.artifacts import RESULTS, Results, RunConfig
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.model import Stored
from gaitway.contracts.run import RunSpec
from gaitway.libraries import record_of
from gaitway.libraries.versions import installed_versions
from gaitway.outputs.results import read_ran_with, results_of, write_json
from gaitway.workloads import workload_of
from gaitway.workloads.noted import noted_warnings

_PACKAGES = {"gaitway", "gymnasium", "torch"}
"""What the runner's environment may hold, besides the RL library."""


def write_config(directory: Path, spec: RunSpec, image: str | None, installed: Mapping[str, str] | None = None) -> None:
    """Write the document with the request.

    Args:
        directory: The run's directory.
        spec: The run.
        image: The job's container image, with its digest; None if it runs in no container.
        installed: Versions of what was installed for this run, by distribution.
    """
    library = spec.training.library
    packages = _PACKAGES | ({record_of(library).distribution} if library else set())
    config = RunConfig(
        run_id=spec.run_id,
        name=spec.name,
        description=spec.description,
        group_id=spec.group_id,
        parent_run_id=spec.parent_run_id,
        training_config=spec.training,
        compute_config=spec.compute,
        inputs=spec.inputs,
        versions=installed_versions(packages) | dict(installed or {}),
        image=image,
    )
    write_json(directory / workload_of(spec.training).config_file, config)


def write_results(
    directory: Path,
    spec: RunSpec,
    *,
    attempts: int,
    started_at: datetime,
    outcome: Stored | Failure,
    cost: Cost | None,
    history: RunHistory,
) -> Results:
    """Write `results.json`.

    Args:
        directory: The run's directory.
        spec: The run.
        attempts: Number of attempts, including this one.
        started_at: When the first attempt began.
        outcome: How the run ended.
        cost: What all attempts have cost; None if no price is known.
        history: The history of the attempts.
    """
    results = results_of(
        spec,
        attempts=attempts,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        outcome=outcome,
        cost=cost,
        history=history,
        warnings=noted_warnings(directory),
        ran_with=read_ran_with(directory),
    )
    write_json(directory / RESULTS, results)
    return results
