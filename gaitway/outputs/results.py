"""Write the outcome of a run: `results.json`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import ManifestEntry, Results
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.model import Model, Stored
from gaitway.contracts.run import RunSpec
from gaitway.contracts.simulation import RAN_WITH, RanWith
from gaitway.workloads import workload_of


def results_of(
    spec: RunSpec,
    *,
    attempts: int,
    started_at: datetime | None,
    ended_at: datetime,
    outcome: Stored | Failure,
    cost: Cost | None,
    history: RunHistory | None,
    warnings: Sequence[str] = (),
    ran_with: RanWith | None = None,
    files: Sequence[ManifestEntry] | None = None,
) -> Results:
    """Describe a run's outcome.

    Args:
        spec: The run.
        attempts: The number of attempts.
        started_at: When the first attempt began; None if there was none.
        ended_at: When the run ended.
        outcome: The outcome.
        cost: The cost of all attempts; None if no price was known.
        history: The history of the attempts; None if there was none.
        warnings: What is optional and has failed.
        ran_with: What the simulation ran with; None if none began.
        files: For a failed run, its files in S3.
    """
    told = "failure" if isinstance(outcome, Failure) else workload_of(spec.training).summary_field
    results = Results(
        run_id=spec.run_id,
        status="failed" if isinstance(outcome, Failure) else "succeeded",
        mode=spec.training.mode,
        task=spec.training.task,
        simulator=spec.simulator,
        remark=spec.remark,
        rl_library=spec.training.library,
        seed=spec.training.seed,
        attempts=attempts,
        started_at=started_at,
        ended_at=ended_at,
        cost=cost,
        history=history,
        warnings=[*warnings],
        ran_with=ran_with,
        files=None if files is None else [*files],
    )
    return results.model_copy(update={told: outcome})


def read_ran_with(directory: Path) -> RanWith | None:
    """Read what the newest simulation in a run's directory ran with; None if none began, or did not say it."""
    try:
        return RanWith.read((directory / RAN_WITH).read_bytes())
    except (OSError, ValidationError):
        return None


def write_json(path: Path, model: Model) -> None:
    """Write a model as its readers know it: camelCase where they are users."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(model.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    # Readers find a complete file, also during this write and after a kill.
    draft.replace(path)
