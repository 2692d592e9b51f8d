"""Files that another process reads while this one writes: each is complete or does not exist."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import LOGS_DIRECTORY, SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import record_of
from gaitway.libraries.checkpoints import completed_iterations, length_beside


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename the file to `path` once it is on the disk.

    Args:
        path: The final path. The temporary name begins with a dot and has its own ending, so that it is not
            mistaken for a checkpoint or a video; a process that is killed leaves only the temporary file.
    """
    temporary = path.with_name(f".{path.name}.partial")
    yield temporary
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def run_directory_of(checkpoint: Path, library: str) -> Path:
    """Find the directory of the training that wrote a checkpoint.

    Raises:
        RequestError: The checkpoint is not where the library writes them.
    """
    base = LOGS_DIRECTORY.absolute() / library
    directory = record_of(library).training_directory(checkpoint.absolute())
    if base not in directory.parents:
        raise RequestError(f"{checkpoint} is not a checkpoint of this run: those of {library} are below {base}")
    return directory


def completed_before(job: SimulationJob, directory: Path | None) -> int:
    """Return the iterations of the checkpoint that a training continues from, in the directory of that training.

    Raises:
        RequestError: They cannot be told from its name.
    """
    if job.continue_from is None or directory is None:
        return 0
    library, name = job.asks(TrainingConfig).rl_library, job.continue_from.name
    try:
        completed = completed_iterations(library, name, length_beside(library, job.continue_from))
    except ValueError as error:
        raise RequestError(str(error)) from error
    if completed is None:
        raise RequestError(
            f"the name of {job.continue_from} does not contain the number of iterations it was trained for"
        )
    return completed
