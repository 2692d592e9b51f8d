"""Checkpoints: which is the newest by the number in its name, and whether a file is whole."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from gaitway.libraries.registry import LIBRARIES, RlLibrary, record_of

_FILES = [record.checkpoints for record in LIBRARIES.values()]
_SUFFIXES = tuple({files.suffix for files in _FILES if not files.shares_suffix})
_OF_OTHERS = (".onnx", ".safetensors", ".ckpt")
_MEMBERS = {files.member for files in _FILES}


def number_of(name: str) -> int | None:
    """Read the number from a checkpoint's name, whichever library wrote it; None if it has none.

    Its unit depends on the library: comparable within one run, not between libraries.

    Args:
        name: File name, path or key.
    """
    numbers = (record.number_of(name) for record in LIBRARIES.values())
    return next((number for number in numbers if number is not None), None)


def is_checkpoint(name: str) -> bool:
    """Return from its name whether a file is a checkpoint, whichever library wrote it."""
    return any(record.number_of(name) is not None or record.is_best(name) for record in LIBRARIES.values())


def may_be_policy(name: str, library: RlLibrary | None = None) -> bool:
    """Return from its name whether a file may hold a policy: a checkpoint under any name, or an exported one.

    Args:
        name: File name, path or key.
        library: The library that is asked for: a suffix that others share counts, too.
    """
    suffixes = (*_SUFFIXES, record_of(library).checkpoints.suffix) if library else _SUFFIXES
    return name.lower().endswith(suffixes) or is_checkpoint(name)


def is_meant_as_policy(name: str, library: RlLibrary | None = None) -> bool:
    """Return from its name whether somebody who gives a file means a policy, even if it cannot be used as one."""
    return may_be_policy(name, library) or name.lower().endswith(_OF_OTHERS)


def completed_iterations(library: RlLibrary, name: str, length: int | None = None) -> int | None:
    """Return how many iterations a checkpoint was trained for; None if its name does not contain that.

    Args:
        library: The library that wrote it.
        name: File name, path or key.
        length: How many of the units in the library's names an iteration has: see `LibraryRecord.iteration_length`.
            Needed if they do not count iterations.

    Raises:
        ValueError: The name alone is not enough for this library.
    """
    record = record_of(library)
    number = record.number_of(name)
    if number is None:
        return None
    length = length or record.iteration_length(lambda _: None)
    if length is None:
        raise ValueError(
            f"{name} counts steps: how many an iteration has is missing in params/agent.yaml or params/env.yaml of its "
            "training"
        )
    return int(record.completed(number, length))


def length_beside(library: RlLibrary, checkpoint: Path) -> int | None:
    """Read the `iteration_length` from the parameters beside a checkpoint; None if they do not contain it."""
    record = record_of(library)
    folder = record.training_directory(checkpoint) / "params"

    def text(name: str) -> str | None:
        path = folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    return record.iteration_length(text)


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint is whole, without torch: incomplete, empty or altered files are not.

    All libraries write zip archives: the directory comes last, and every member has a checksum.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
            return archive.testzip() is None and not names.isdisjoint(_MEMBERS)
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError):
        # Altered headers show as any of these: an unknown compression, an encrypted member, an impossible offset.
        return False


def newest(names: Iterable[str]) -> str | None:
    """Choose the checkpoint that was trained longest; a "best" one, which has no number, only if there is no other.

    Other files, such as an exported `policy.pt`, are ignored.

    Args:
        names: File names, paths or keys.

    Returns:
        One of the names; None if none is a checkpoint.
    """
    candidates = sorted(filter(is_checkpoint, names))
    return _longest(candidates) or next(iter(candidates), None)


def unmistakable(names: Iterable[str], library: RlLibrary | None = None) -> str | None:
    """Choose the checkpoint of a library that was trained longest; None if that is not clear.

    Args:
        names: File names, paths or keys, of one training.
        library: The library that is asked for; any if None.
    """
    records = [record_of(library)] if library else LIBRARIES.values()
    own = [name for name in names if any(each.number_of(name) is not None or each.is_best(name) for each in records)]
    return _longest(own) or (own[0] if len(own) == 1 else None)


def _longest(names: Iterable[str]) -> str | None:
    numbered = [(number, name) for name in names if (number := number_of(name)) is not None]
    return max(numbered)[1] if numbered else None
