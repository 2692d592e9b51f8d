"""Which of the files in a run's directory go where (design, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gaitway.contracts.artifacts import (
    CHECKPOINTS,
    CONFIG_FILES,
    EVENTS,
    EXPORTED,
    GPU_USAGE,
    METRICS,
    PARAMETERS,
    SIMULATOR_LOG,
    VIDEOS,
)
from gaitway.contracts.request import RlLibrary, TrainingConfig
from gaitway.contracts.simulation import (
    EVALUATION_METRICS,
    EVALUATION_VIDEOS,
    EXPORTED_DIRECTORY,
    LOGS_DIRECTORY,
)
from gaitway.contracts.vams import accepted_name
from gaitway.outputs.checkpoints import checkpoints


def outputs(directory: Path, training: TrainingConfig) -> Iterator[tuple[str, Path]]:
    """Give every output that is there: its place below the run's prefix, and its file.

    Results, report and manifest, which tell of the others, are not among them.

    Args:
        directory: The run's directory.
        training: What was asked for.
    """
    if training.mode == "train":
        yield from _training_outputs(directory, training.rl_library)
    else:
        yield from _evaluation_outputs(directory)
    for name in (CONFIG_FILES[training.mode], GPU_USAGE, SIMULATOR_LOG):
        if (directory / name).is_file():
            yield name, directory / name


def remains(directory: Path, training: TrainingConfig) -> Iterator[tuple[str, Path]]:
    """Give what a failed run left that may be of use, the most useful first.

    That is its outputs, and what metrics.csv would have been made of, had it come that far: TensorBoard's own files,
    and the logs of other nodes.

    Args:
        directory: The run's directory.
        training: What was asked for.
    """
    for name in (SIMULATOR_LOG, CONFIG_FILES[training.mode]):
        if (directory / name).is_file():
            yield name, directory / name
    if training.mode == "train":
        for checkpoint in reversed(checkpoints(directory, training.rl_library)):
            yield f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path
    first = {SIMULATOR_LOG, CONFIG_FILES[training.mode]}
    for name, path in outputs(directory, training):
        if name not in first and not name.startswith(CHECKPOINTS):
            yield name, path
    logs = directory / LOGS_DIRECTORY
    for path in sorted(logs.rglob("events.out.tfevents.*")):
        yield f"{EVENTS}{path.relative_to(logs).as_posix()}", path
    for path in sorted(directory.glob("simulator-node-*.log")):
        yield path.name, path


def _training_outputs(directory: Path, library: RlLibrary) -> Iterator[tuple[str, Path]]:
    logs = directory / LOGS_DIRECTORY
    for checkpoint in checkpoints(directory, library):
        yield f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path
    for path in sorted(logs.rglob(f"{EXPORTED_DIRECTORY}/*")):
        if path.is_file() and not path.name.startswith("."):
            # The only files that somebody else names: a custom environment's own.
            yield f"{EXPORTED}{accepted_name(path.name)}", path
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
