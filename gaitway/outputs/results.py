"""Say what came of a run: `results.json`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gaitway.contracts.artifacts import ManifestEntry, Results, TrainingSummary
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.model import Model
from gaitway.contracts.run import RunSpec
from gaitway.contracts.simulation import EvaluationSummary


def results_of(
    spec: RunSpec,
    *,
    attempts: int,
    started_at: datetime | None,
    ended_at: datetime,
    outcome: TrainingSummary | EvaluationSummary | Failure,
    cost: Cost | None,
    history: RunHistory | None,
    files: Sequence[ManifestEntry] | None = None,
) -> Results:
    """Describe a run's outcome.

    Args:
        spec: The run.
        attempts: How often it was tried.
        started_at: When the first attempt began; None where none ever did.
        ended_at: When the run ended.
        outcome: What came of it.
        cost: What all attempts have cost; None where no price was known.
        history: How they went; None where none ever began.
        files: Of a failed run, what S3 holds.
    """
    return Results(
        run_id=spec.run_id,
        status="failed" if isinstance(outcome, Failure) else "succeeded",
        mode=spec.training.mode,
        task=spec.training.task,
        rl_library=spec.training.rl_library,
        attempts=attempts,
        started_at=started_at,
        ended_at=ended_at,
        training=outcome if isinstance(outcome, TrainingSummary) else None,
        evaluation=outcome if isinstance(outcome, EvaluationSummary) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        cost=cost,
        history=history,
        files=None if files is None else [*files],
    )


def write_json(path: Path, model: Model) -> None:
    """Write a model as its readers know it: camelCase where they are users."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(model.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    # Whoever reads at the same moment, or after a kill, finds a whole file.
    draft.replace(path)
