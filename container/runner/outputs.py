"""Which of the files in a run's directory go where (design, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from container.runner.checkpoints import checkpoints
from container.runner.simulate import SIMULATOR_LOG
from gaitway.contracts.artifacts import (
    CHECKPOINTS,
    EVALUATION_CONFIG,
    EXPORTED,
    METRICS,
    PARAMETERS,
    RESULTS,
    TRAINING_CONFIG,
    VIDEOS,
)
from gaitway.contracts.request import Mode, RlLibrary, TrainingConfig
from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_VIDEOS,
    EXPORTED_DIRECTORY,
    LOGS_DIRECTORY,
)

CONFIG_FILES: dict[Mode, str] = {"train": TRAINING_CONFIG, "evaluate": EVALUATION_CONFIG}


def outputs(directory: Path, training: TrainingConfig) -> Iterator[tuple[str, Path]]:
    """Give every output that is there, but not the manifest: its place below the run's prefix, and its file.

    Args:
        directory: The run's directory.
        training: What was asked for.
    """
    if training.mode == "train":
        yield from _training_outputs(directory, training.rl_library)
    else:
        yield from _evaluation_outputs(directory)
    for name in (CONFIG_FILES[training.mode], SIMULATOR_LOG, RESULTS):
        if (directory / name).is_file():
            yield name, directory / name


def _training_outputs(directory: Path, library: RlLibrary) -> Iterator[tuple[str, Path]]:
    logs = directory / LOGS_DIRECTORY
    for checkpoint in checkpoints(directory, library):
        yield f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path
    for path in sorted(logs.rglob(f"{EXPORTED_DIRECTORY}/*")):
        if path.is_file() and not path.name.startswith("."):
            yield f"{EXPORTED}{path.name}", path
    for path in sorted(logs.rglob("git/*.diff")):
        yield f"{path.stem}_git_diff.txt", path
    for path in sorted(logs.rglob("params/*.yaml")):
        yield f"{PARAMETERS}{path.name}", path
    for path in sorted(logs.rglob("videos/**/*.mp4")):
        yield f"{VIDEOS}{path.name}", path
    if (directory / METRICS).is_file():
        yield METRICS, directory / METRICS


def _evaluation_outputs(directory: Path) -> Iterator[tuple[str, Path]]:
    if (directory / EVALUATION_METRICS).is_file():
        yield METRICS, directory / EVALUATION_METRICS
    for path in sorted((directory / EVALUATION_VIDEOS).rglob("*.mp4")):
        yield f"{VIDEOS}{path.name}", path
