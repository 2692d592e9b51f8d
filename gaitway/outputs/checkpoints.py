"""The checkpoints that a run has on EFS: which are whole, and for how many iterations each was trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gaitway.contracts import checkpoints as contract
from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import EXPORTED_DIRECTORY, LOGS_DIRECTORY

logger = logging.getLogger(__name__)

_AGENT_SETTINGS = Path("params", "agent.yaml")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole."""

    path: Path
    iterations: int | None
    """How many it was trained for; None for the best so far, which its library overwrites, and does not number."""

    @property
    def name(self) -> str:
        """The library's own name for it."""
        return self.path.name


def checkpoints(directory: Path, library: RlLibrary) -> list[Checkpoint]:
    """List the whole checkpoints, those without number first, then by iterations; of several of one name, the latest.

    Args:
        directory: The run's directory.
        library: Who wrote them.
    """
    latest = {path.name: path for path in sorted(_files(directory), key=_modified) if is_whole(path)}
    found = [Checkpoint(path, _iterations(library, path)) for path in latest.values()]
    return sorted(found, key=lambda checkpoint: (checkpoint.iterations or 0, checkpoint.name))


def newest(directory: Path, library: RlLibrary, below: int | None = None) -> Checkpoint | None:
    """Choose the whole checkpoint that was trained longest, by its number; None where there is none.

    Args:
        directory: The run's directory.
        library: Who wrote it.
        below: Consider only those that were trained for fewer iterations than this.
    """
    candidates = (
        (iterations, _modified(path), path)
        for path in _files(directory)
        if (iterations := _iterations(library, path)) is not None and (below is None or iterations < below)
    )
    for iterations, _, path in sorted(candidates, reverse=True):
        if is_whole(path):
            return Checkpoint(path, iterations)
        logger.warning("passed over: checkpoint %s is torn or corrupt", path.relative_to(directory))
    return None


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint is whole; reads a file once for as long as it does not change."""
    try:
        status = path.stat()
    except OSError:
        return False
    return _is_whole(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _is_whole(path: Path, _size: int, _modified_ns: int) -> bool:
    return contract.is_whole(path)


def _files(directory: Path) -> Iterator[Path]:
    for path in (directory / LOGS_DIRECTORY).rglob("*"):
        # An exported policy's name ends like a checkpoint's.
        if path.suffix in contract.SUFFIXES and path.parent.name != EXPORTED_DIRECTORY and path.is_file():
            yield path


def _iterations(library: RlLibrary, path: Path) -> int | None:
    if library != "skrl":
        return contract.completed_iterations(library, path.name)
    settings = path.parents[1] / _AGENT_SETTINGS
    rollouts = contract.rollouts_of(settings.read_text()) if settings.is_file() else None
    return contract.completed_iterations(library, path.name, rollouts) if rollouts is not None else None


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        # It has gone since it was listed; it will not count as whole.
        return 0
