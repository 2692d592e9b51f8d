"""Train a policy for a number of iterations; an interrupted run resumes from its newest checkpoint."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import (
    CHECKPOINTS,
    EXPORTED,
    EXPORTED_LEAPP,
    METRICS,
    PARAMETERS,
    TRAINING_CONFIG,
    VIDEOS,
    TrainingSummary,
)
from gaitway.contracts.errors import SimulationError
from gaitway.contracts.limits import CALLER_LIMITS
from gaitway.contracts.model import S3Uri
from gaitway.contracts.simulation import (
    EXPORTED_DIRECTORY,
    EXPORTED_SUMMARY,
    LEAPP_DIRECTORY,
    LOGS_DIRECTORY,
    NO_LEAPP,
    NOT_EXPORTED,
    RESUMPTION_FILE,
    TRAINING_PROGRESS,
    Resumption,
)
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import ProgressLines, record_of
from gaitway.workloads.checkpoints import Checkpoint, checkpoints, newest
from gaitway.workloads.noted import note_warning
from gaitway.workloads.progress import Lines, Told
from gaitway.workloads.workload import Rows, Standing, Workload

logger = logging.getLogger(__name__)

LONG_TRAINING_ITERATIONS = 1_000
"""Most tasks take one to three seconds for an iteration. So such a training takes a quarter of an hour or more, and a
second start of the simulator is a small part of that. Errors that only the end of a training shows, such as in its
export, would be found late."""


_LISTED = 10
"""Names in a warning."""


class Train(Workload[TrainingConfig]):
    """A training."""

    config = TrainingConfig
    noun = "training"
    config_file = TRAINING_CONFIG
    summary_field = "training"
    rows = Rows.ITERATIONS
    limits = CALLER_LIMITS["train"]
    saves_when_asked = True

    def total(self, config: TrainingConfig) -> int:
        """Count iterations, over all attempts."""
        return config.max_iterations

    def lines(self, config: TrainingConfig) -> Lines:
        """Find the lines that simulators, or the library itself, print after iterations."""
        return TrainingLines(record_of(config.rl_library).progress_lines)

    def preflight(self, config: TrainingConfig, num_processes: int) -> TrainingConfig | None:
        """Try one iteration of a training that is long or has several processes; any other fails early by itself."""
        if num_processes == 1 and config.max_iterations < LONG_TRAINING_ITERATIONS:
            return None
        return config.model_copy(update={"max_iterations": 1, "record_video": False, "live_view": False})

    def checkpoints(self, directory: Path, config: TrainingConfig) -> list[Checkpoint]:
        """List the checkpoints that the library has saved."""
        return checkpoints(directory, config.rl_library)

    def newest(self, directory: Path, config: TrainingConfig, below: int | None = None) -> Checkpoint | None:
        """Choose the checkpoint with the most iterations."""
        return newest(directory, config.rl_library, below)

    def standing(self, directory: Path, config: TrainingConfig, done: int, output_files: S3Uri) -> Standing:
        """Return how many iterations were done, and the newest checkpoint."""
        checkpoint = self.newest(directory, config)
        if checkpoint is None:
            return Standing(
                f"{done} of {config.max_iterations} iterations, before its first checkpoint",
                "Start a new run with a smaller checkpointInterval, or with a higher limit",
            )
        return Standing(
            f"{max(done, checkpoint.iterations or 0)} of {config.max_iterations} iterations",
            f"Its newest checkpoint is {output_files / CHECKPOINTS}{checkpoint.name}, after {checkpoint.iterations} "
            "iterations: a new run, which has a limit of its own, continues from there with this run as resumeFrom",
            checkpoint,
        )

    def is_complete(self, directory: Path, config: TrainingConfig) -> bool:
        """Look for the checkpoint of the last iteration."""
        return self._final_checkpoint(directory, config) is not None

    def is_finished(self, directory: Path, config: TrainingConfig) -> bool:
        """Also look for the exported policy, which is written last."""
        return self.is_complete(directory, config) and is_exported(directory)

    def judge(self, directory: Path, config: TrainingConfig, num_processes: int) -> TrainingSummary:
        """Accept a training that reached its last iteration and logged metrics; write metrics.csv.

        Raises:
            SimulationError: Says what is missing.
        """
        # pandas takes half a second to import; the simulator can start in that time.
        from gaitway.workloads.metrics import Damage, no_metrics, read_metrics, summarise

        damage = Damage()
        try:
            metrics = read_metrics(directory, config.rl_library, damage)
        except Exception as error:
            # Whatever a library has written: what was trained is there.
            logger.exception("the event files cannot be read")
            damage.files["event files"] = f"nothing can be read ({type(error).__name__}: {error})"
            metrics = no_metrics()
        metrics.to_csv(directory / METRICS)
        checkpoint = self._final_checkpoint(directory, config)
        if checkpoint is None:
            latest = self.newest(directory, config)
            standing = f"{latest.name}, after {latest.iterations}" if latest else "none"
            raise SimulationError(
                f"the training ended before its {config.max_iterations} iterations: latest checkpoint is {standing}"
            )
        if metrics.empty and not damage.files:
            raise SimulationError("the training logged no metrics")
        for name, what in damage.files.items():
            note_warning(directory, f"{METRICS} lacks a part of the training: of TensorBoard's {name}, {what}")
        if tags := sorted(damage.not_finite):
            note_warning(directory, f"{METRICS} has values that were logged as NaN or infinite: {_listed(tags)}")
        figures = summarise(metrics, config.rl_library, config.num_envs * num_processes)
        return TrainingSummary(
            iterations=config.max_iterations,
            final_checkpoint=f"{CHECKPOINTS}{checkpoint.name}",
            mean_reward=figures.mean_reward,
            mean_steps_per_second=figures.mean_steps_per_second,
            training_seconds=figures.training_seconds,
            not_exported=_not_exported(directory),
            no_leapp=_read_reason(directory, NO_LEAPP),
            resumptions=_resumptions(directory),
        )

    def outputs(self, directory: Path, config: TrainingConfig) -> Iterator[tuple[str, Path]]:
        """Yield checkpoints, the exported policy, the code and settings that trained it, videos and metrics."""
        logs = directory / LOGS_DIRECTORY
        for checkpoint in self.checkpoints(directory, config):
            yield f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path
        for path in sorted(logs.rglob(f"{EXPORTED_DIRECTORY}/*")):
            if path.is_file() and not path.name.startswith("."):
                yield f"{EXPORTED}{path.name}", path
        for path in sorted(logs.rglob(f"{LEAPP_DIRECTORY}/*")):
            if path.is_file():
                yield f"{EXPORTED_LEAPP}{path.name}", path
        for path in sorted(logs.rglob("git/*.diff")):
            yield f"{path.stem}_git_diff.txt", path
        for path in sorted(logs.rglob("params/*.yaml")):
            yield f"{PARAMETERS}{path.name}", path
        for path in sorted(logs.rglob("videos/**/*.mp4")):
            yield f"{VIDEOS}{path.name}", path
        if (directory / METRICS).is_file():
            yield METRICS, directory / METRICS

    def write_metrics(self, directory: Path, config: TrainingConfig) -> bool:
        """Write metrics.csv from the events that exist, unless it exists already."""
        if (directory / METRICS).exists():
            return False
        # pandas takes half a second to import.
        from gaitway.workloads.metrics import read_metrics

        metrics = read_metrics(directory, config.rl_library)
        if metrics.empty:
            return False
        metrics.to_csv(directory / METRICS)
        return True

    def _final_checkpoint(self, directory: Path, config: TrainingConfig) -> Checkpoint | None:
        """Find the checkpoint that completes a training; None if it does not exist yet."""
        latest = self.newest(directory, config)
        return latest if latest is not None and (latest.iterations or 0) >= config.max_iterations else None


TRAIN = Train()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def is_exported(directory: Path) -> bool:
    """Return whether a training has exported its policy, or said why it cannot; it does that last."""
    return _has_export(directory) or any((directory / LOGS_DIRECTORY).rglob(NOT_EXPORTED))


def _has_export(directory: Path) -> bool:
    return any((directory / LOGS_DIRECTORY).rglob(f"{EXPORTED_DIRECTORY}/{EXPORTED_SUMMARY}"))


def _not_exported(directory: Path) -> str | None:
    if _has_export(directory):
        return None
    return _read_reason(directory, NOT_EXPORTED) or "the simulator ended before it exported the policy"


def _read_reason(directory: Path, name: str) -> str | None:
    """Read why something is not there; None where no simulator has said so."""
    for path in (directory / LOGS_DIRECTORY).rglob(name):
        with contextlib.suppress(OSError):
            return path.read_text(encoding="utf-8", errors="replace").strip()
    return None


def _resumptions(directory: Path) -> tuple[Resumption, ...] | None:
    """Read what attempts have noted when they resumed; a note that cannot be read is left out."""
    notes = []
    for path in (directory / LOGS_DIRECTORY).rglob(RESUMPTION_FILE.format(iteration="*")):
        try:
            notes.append(Resumption.read(path.read_bytes()))
        except (OSError, ValidationError) as error:
            logger.warning("%s cannot be read: %s", path.name, error)
    return tuple(sorted(notes, key=lambda note: note.iteration)) or None


class TrainingLines:
    """Finds a training's progress.

    Args:
        library: The lines of its library, for simulators that print no progress lines of their own.
    """

    def __init__(self, library: ProgressLines | None) -> None:
        self._library = library

    def read(self, line: str) -> Told | None:
        """Look at the next line."""
        if match := TRAINING_PROGRESS.match(line):
            # The library's own lines, which may follow, repeat the same progress.
            self._library = None
            reward = match["mean_reward"]
            return Told(
                (int(match["done"]), int(match["total"])),
                {
                    "steps_per_second": float(match["steps_per_second"]),
                    "mean_reward": None if reward is None else float(reward),
                },
            )
        return _read_library(self._library, line) if self._library else None


def _read_library(lines: ProgressLines, line: str) -> Told | None:
    if match := lines.iteration.match(line):
        return Told((int(match["done"]) - lines.first_iteration + 1, int(match["total"])))
    if match := lines.steps_per_second.match(line):
        return Told(figures={"steps_per_second": _first_number(match)})
    if match := lines.mean_reward.match(line):
        return Told(figures={"mean_reward": _first_number(match)})
    return None


def _first_number(match: re.Match[str]) -> float:
    return float(next(number for number in match.groups() if number is not None))
