"""Files that another process reads while this one writes: whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import LOGS_DIRECTORY

_CHECKPOINT_DIRECTORIES = ("checkpoints", "nn")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move what stands there to `path` once it is on the disk.

    Args:
        path: Where the file shall appear. Its temporary name begins with a dot and has an ending of its own, so that
            nobody who looks for checkpoints or videos takes it for one; a process that is killed leaves that.
    """
    temporary = path.with_name(f".{path.name}.partial")
    yield temporary
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def run_directory_of(checkpoint: Path, library: str) -> Path:
    """Find the directory of the training that left a checkpoint: skrl and rl_games put theirs one level deeper.

    Raises:
        RequestError: The checkpoint does not lie where the library leaves it.
    """
    base = LOGS_DIRECTORY.absolute() / library
    directory = checkpoint.absolute().parent
    if directory.name in _CHECKPOINT_DIRECTORIES:
        directory = directory.parent
    if base not in directory.parents:
        raise RequestError(f"{checkpoint} is no checkpoint of this run: those of {library} lie below {base}")
    return directory
