"""The checkpoints that a run has on EFS: which are whole, and for how many iterations each was trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gaitway.contracts.artifacts import PARAMETERS
from gaitway.contracts.simulation import EXPORTED_DIRECTORY, LOGS_DIRECTORY
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries import checkpoints as names

CONTINUED = "continued"
"""Experiment and directory of a training that continues another run, in place of Isaac Lab's own names."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole."""

    path: Path
    iterations: int | None
    """Iterations that it was trained for; None for the best one so far, which its library overwrites and does not
    number."""

    @property
    def name(self) -> str:
        """The library's own name for it."""
        return self.path.name


def checkpoints(directory: Path, library: RlLibrary) -> list[Checkpoint]:
    """List the whole checkpoints: those without a number first, then by iterations; the latest of each name.

    Args:
        directory: The run's directory.
        library: The library that wrote them.
    """
    latest = {path.name: path for path in sorted(_files(directory, library), key=_modified) if is_whole(path)}
    found = [Checkpoint(path, _iterations(library, path)) for path in latest.values()]
    return sorted(found, key=lambda checkpoint: (checkpoint.iterations or 0, checkpoint.name))


def newest(directory: Path, library: RlLibrary, below: int | None = None) -> Checkpoint | None:
    """Choose the whole checkpoint with the most iterations; None if there is none.

    Args:
        directory: The run's directory.
        library: The library that wrote it.
        below: Consider only those that were trained for fewer iterations than this.
    """
    candidates = (
        (iterations, _modified(path), path)
        for path in _files(directory, library)
        if (iterations := _iterations(library, path)) is not None and (below is None or iterations < below)
    )
    for iterations, _, path in sorted(candidates, reverse=True):
        if is_whole(path):
            return Checkpoint(path, iterations)
        logger.warning("skipped: checkpoint %s is incomplete or corrupt", path.relative_to(directory))
    return None


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint is whole; reads a file again only if it has changed."""
    try:
        status = path.stat()
    except OSError:
        return False
    return _is_whole(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _is_whole(path: Path, _size: int, _modified_ns: int) -> bool:
    return names.is_whole(path)


def place_checkpoint(checkpoint: Path, parameters: Mapping[Path, str], directory: Path, library: RlLibrary) -> None:
    """Move another run's checkpoint to where this run would have saved it, so that it resumes from there.

    Args:
        checkpoint: A file with the library's own name for it.
        parameters: Files of that run's `params/`, with their names there.
        directory: The run's directory.
        library: The library that wrote it.
    """
    training = directory / LOGS_DIRECTORY / library / CONTINUED / CONTINUED
    place = training / (record_of(library).checkpoints.directory or "")
    place.mkdir(parents=True, exist_ok=True)
    (training / PARAMETERS).mkdir(exist_ok=True)
    # Its name counts in a unit that the parameters give: they come first.
    for path, name in parameters.items():
        path.replace(training / PARAMETERS / name)
    checkpoint.replace(place / checkpoint.name)


def _files(directory: Path, library: RlLibrary) -> Iterator[Path]:
    suffix = record_of(library).checkpoints.suffix
    for path in (directory / LOGS_DIRECTORY).rglob(f"*{suffix}"):
        # An exported policy's name ends like a checkpoint's.
        if path.parent.name != EXPORTED_DIRECTORY and path.is_file():
            yield path


def _iterations(library: RlLibrary, path: Path) -> int | None:
    length = names.length_beside(library, path)
    return names.completed_iterations(library, path.name, length) if length is not None else None


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        # It was deleted after it was listed; it will not count as whole.
        return 0
