"""Evaluate a policy for a number of episodes, each of which counts once."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import EVALUATION_CONFIG, METRICS, VIDEOS
from gaitway.contracts.errors import SimulationError
from gaitway.contracts.limits import CALLER_LIMITS
from gaitway.contracts.model import S3Uri
from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_PROGRESS,
    EVALUATION_SUMMARY,
    EVALUATION_VIDEOS,
    EvaluationSummary,
)
from gaitway.contracts.workload import EvaluationConfig
from gaitway.workloads.noted import note_warning
from gaitway.workloads.progress import CountedLines, Lines
from gaitway.workloads.workload import Rows, Standing, Workload


class Evaluate(Workload[EvaluationConfig]):
    """An evaluation. A part of one is no result, so that an interrupted evaluation starts again from the beginning."""

    config = EvaluationConfig
    noun = "evaluation"
    config_file = EVALUATION_CONFIG
    summary_field = "evaluation"
    rows = Rows.EPISODES
    limits = CALLER_LIMITS["evaluate"]
    needs_policy = True

    def total(self, config: EvaluationConfig) -> int:
        """Count episodes."""
        return config.num_episodes

    def lines(self, config: EvaluationConfig) -> Lines:
        """Find the lines that simulators print after episodes."""
        del config
        return CountedLines(EVALUATION_PROGRESS)

    def standing(self, directory: Path, config: EvaluationConfig, done: int, output_files: S3Uri) -> Standing:
        """Return how many episodes were done."""
        del directory, output_files
        return Standing(
            f"{done} of {config.num_episodes} episodes",
            "Start a new run with fewer episodes (numEpisodes), or with a higher limit",
        )

    def is_complete(self, directory: Path, config: EvaluationConfig) -> bool:
        """Look for the summary, which is written last."""
        del config
        return _summary(directory) is not None

    def judge(self, directory: Path, config: EvaluationConfig, num_processes: int) -> EvaluationSummary:
        """Accept an evaluation that has exactly the requested episodes. A video that is missing is a warning.

        Raises:
            SimulationError: Says what is missing.
        """
        del num_processes
        summary = _summary(directory)
        if summary is None:
            raise SimulationError(f"the evaluation left no readable {EVALUATION_SUMMARY}")
        rows = _count_rows(directory / EVALUATION_METRICS)
        if not summary.episodes == rows == config.num_episodes:
            raise SimulationError(
                f"{config.num_episodes} episodes were to be evaluated, but the summary tells of {summary.episodes} and "
                f"{EVALUATION_METRICS} of {rows}"
            )
        if config.record_video and not any((directory / EVALUATION_VIDEOS).rglob("*.mp4")):
            note_warning(directory, "there is no video of the evaluation, although one was to be recorded")
        return summary

    def outputs(self, directory: Path, config: EvaluationConfig) -> Iterator[tuple[str, Path]]:
        """Yield the metrics and the videos."""
        del config
        if (directory / EVALUATION_METRICS).is_file():
            yield METRICS, directory / EVALUATION_METRICS
        for path in sorted((directory / EVALUATION_VIDEOS).rglob("*.mp4")):
            yield f"{VIDEOS}{path.name}", path


EVALUATE = Evaluate()


def _summary(directory: Path) -> EvaluationSummary | None:
    """Read the summary of an evaluation; None if it does not exist, or cannot be read."""
    try:
        return EvaluationSummary.read((directory / EVALUATION_SUMMARY).read_text())
    except (OSError, ValidationError):
        return None


def _count_rows(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
