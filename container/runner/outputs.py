"""Which of the files in a run's directory go where (design, section 4)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from container.runner.simulate import SIMULATOR_LOG
from gaitway.contracts.artifacts import (
    CHECKPOINTS,
    EVALUATION_CONFIG,
    METRICS,
    PARAMETERS,
    RESULTS,
    TRAINING_CONFIG,
    VIDEOS,
)
from gaitway.contracts.checkpoints import SUFFIXES
from gaitway.contracts.request import Mode
from gaitway.contracts.simulation import EVALUATION_METRICS, EVALUATION_VIDEOS, LOGS_DIRECTORY

CONFIG_FILES: dict[Mode, str] = {"train": TRAINING_CONFIG, "evaluate": EVALUATION_CONFIG}

_EXPORTED_DIRECTORY = "exported"
"""Where play.py of Isaac Lab puts exported policies, whose names end like those of checkpoints."""


def checkpoints(directory: Path) -> dict[str, Path]:
    """List the complete checkpoints by their native names; of several attempts' files of one name, the latest.

    Args:
        directory: The run's directory.
    """
    found = [
        path
        for path in (directory / LOGS_DIRECTORY).rglob("*")
        if path.suffix in SUFFIXES and path.parent.name != _EXPORTED_DIRECTORY and _is_complete(path)
    ]
    return {path.name: path for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)}


def outputs(directory: Path, mode: Mode) -> Iterator[tuple[str, Path]]:
    """Give every output that is there, but not the manifest: its place below the run's prefix, and its file.

    Args:
        directory: The run's directory.
        mode: What kind of run it is.
    """
    if mode == "train":
        yield from _training_outputs(directory)
    else:
        yield from _evaluation_outputs(directory)
    for name in (CONFIG_FILES[mode], SIMULATOR_LOG, RESULTS):
        if (directory / name).is_file():
            yield name, directory / name


def _training_outputs(directory: Path) -> Iterator[tuple[str, Path]]:
    logs = directory / LOGS_DIRECTORY
    for name, path in checkpoints(directory).items():
        yield f"{CHECKPOINTS}{name}", path
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


def _is_complete(path: Path) -> bool:
    """Tell whether a checkpoint is written to its end: torch.save writes zip archives, whose directory comes last."""
    return path.is_file() and zipfile.is_zipfile(path)
