"""Files that another process reads while this one writes: whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from container.simulators.embedded.overrides import key_of
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import LOGS_DIRECTORY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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


def make_run_directory(library: str, experiment: str, suffix: str) -> Path:
    """Make a training's directory where Isaac Lab's train.py makes it: `logs/<library>/<experiment>/<time>`."""
    started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    directory = LOGS_DIRECTORY / library / experiment / (f"{started}_{suffix}" if suffix else started)
    directory.mkdir(parents=True)
    return directory


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


def write_params(directory: Path, **configs: DataclassInstance) -> None:
    """Write each configuration to `params/<name>.yaml`, beside what was trained with it."""
    (directory / "params").mkdir(exist_ok=True)
    for name, config in configs.items():
        with written_whole(directory / "params" / f"{name}.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(_plain(asdict(config)), sort_keys=False))


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Turn tuples into lists, which YAML knows, and fields' names into keys."""
    if isinstance(value, dict):
        return {key_of(key): _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list | tuple) else value
