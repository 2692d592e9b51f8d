"""What runs leave, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gaitway.contracts.artifacts import Manifest, ManifestEntry, Results, TrainingSummary
from gaitway.contracts.history import AttemptHistory, RunHistory
from gaitway.contracts.simulation import EvaluationSummary

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TRAINED = ("checkpoints/model_49.pt", "exported/policy.pt", "metrics.csv")
EVALUATED = ("metrics.csv", "videos/episode.mp4")


def manifest(*files: str, size: int = 10) -> Manifest:
    """A manifest of some files."""
    entries = [ManifestEntry(path=path, size=size, sha256="0" * 64) for path in files]
    return Manifest(run_id="run-1", created_at=NOW, files=entries)


def attempt(number: int, **fields: Any) -> AttemptHistory:
    """An attempt that was seen."""
    return AttemptHistory(number=number, began_at=NOW, last_seen_at=NOW + timedelta(minutes=5), **fields)


def training(iterations: int = 50, *attempts: AttemptHistory, steps_per_second: float | None = 1000.0) -> Results:
    """The results of a training."""
    summary = TrainingSummary(
        iterations=iterations,
        final_checkpoint="checkpoints/model_49.pt",
        mean_reward=1.0,
        mean_steps_per_second=steps_per_second,
        training_seconds=10.0,
    )
    return _results("train", training=summary, attempts=attempts)


def evaluation(episodes: int = 50) -> Results:
    """The results of an evaluation."""
    summary = EvaluationSummary(
        episodes=episodes,
        success_rate=0.5,
        success_definition="it stands",
        mean_return=1.0,
        std_return=0.1,
        min_return=0.5,
        max_return=2.0,
        mean_length=100.0,
    )
    return _results("evaluate", evaluation=summary)


def _results(mode: Any, attempts: tuple[AttemptHistory, ...] = (), **fields: Any) -> Results:
    return Results(
        run_id="run-1",
        status="succeeded",
        mode=mode,
        task="Isaac-Cartpole-v0",
        rl_library="rsl_rl",
        attempts=max(1, len(attempts)),
        ended_at=NOW,
        history=RunHistory(accepted_at=NOW, attempts=list(attempts)) if attempts else None,
        **fields,
    )
