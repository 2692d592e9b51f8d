"""Which of the files in a run's directory go where (design, section 4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from gaitway.contracts.artifacts import AS_THEY_ARE, CHECKPOINTS, EVENTS, SIMULATOR_LOG, SYNCHRONISATION_MARKS
from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.contracts.workload import WorkloadConfig
from gaitway.workloads import workload_of

_HARMLESS_SUFFIX = ".bin"


def outputs(
    directory: Path, training: WorkloadConfig, refused_suffixes: Collection[str] = ()
) -> Iterator[tuple[str, Path]]:
    """Yield every existing output: its path below the run's prefix, and its file.

    Results, report and manifest, which describe the others, are not among them.

    Args:
        directory: The run's directory.
        training: The run's training configuration.
        refused_suffixes: Endings of names that the run's caller refuses: such a file gets another name.
    """
    return _named(_own(directory, _outputs(directory, training)), refused_suffixes)


def accepted_name(name: str, refused_suffixes: Collection[str]) -> str:
    """Return a file name that the run's caller accepts: the file's own, unless its ending is refused."""
    # The caller may compare the case of letters; the system that stores the file afterwards may not.
    refused = PurePosixPath(name).suffix.lower() in refused_suffixes
    return f"{name}{_HARMLESS_SUFFIX}" if refused else name


def _own(directory: Path, files: Iterator[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """Leave out files outside of the directory: a simulator may make links to files that only the runner can read.

    Leave out SageMaker's notes about the files that it brings to S3, too.
    """
    root = directory.resolve()
    return (
        (name, path)
        for name, path in files
        if path.resolve().is_relative_to(root) and not path.name.endswith(SYNCHRONISATION_MARKS)
    )


def _named(files: Iterator[tuple[str, Path]], refused_suffixes: Collection[str]) -> Iterator[tuple[str, Path]]:
    return ((accepted_name(name, refused_suffixes), path) for name, path in files)


def _outputs(directory: Path, training: WorkloadConfig) -> Iterator[tuple[str, Path]]:
    workload = workload_of(training)
    yield from workload.outputs(directory, training)
    for name in (workload.config_file, *AS_THEY_ARE):
        if (directory / name).is_file():
            yield name, directory / name


def remains(
    directory: Path, training: WorkloadConfig, refused_suffixes: Collection[str] = ()
) -> Iterator[tuple[str, Path]]:
    """Yield the files of a failed run that may be useful, the most useful first.

    These are its outputs, TensorBoard's own files, from which metrics.csv would have been made, and the logs of other
    nodes.

    Args:
        directory: The run's directory.
        training: The run's training configuration.
        refused_suffixes: Endings of names that the run's caller refuses: such a file gets another name.
    """
    return _named(_own(directory, _remains(directory, training)), refused_suffixes)


def _remains(directory: Path, training: WorkloadConfig) -> Iterator[tuple[str, Path]]:
    workload = workload_of(training)
    first = (SIMULATOR_LOG, workload.config_file)
    for name in first:
        if (directory / name).is_file():
            yield name, directory / name
    for checkpoint in reversed(workload.checkpoints(directory, training)):
        yield f"{CHECKPOINTS}{checkpoint.name}", checkpoint.path
    for name, path in _outputs(directory, training):
        if name not in first and not name.startswith(CHECKPOINTS):
            yield name, path
    logs = directory / LOGS_DIRECTORY
    for path in sorted(logs.rglob("events.out.tfevents.*")):
        yield f"{EVENTS}{path.relative_to(logs).as_posix()}", path
    for path in sorted(directory.glob("simulator-node-*.log")):
        yield path.name, path
