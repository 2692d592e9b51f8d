"""Writes that a power loss at any moment leaves done or not done.

A rename replaces a name at once, and what was synchronised before it is there after it:
man7.org/linux/man-pages/man2/rename.2.html, .../fsync.2.html. A name itself is on the disk when its directory is.
"""

from __future__ import annotations

import os
from pathlib import Path


def synchronise(path: Path) -> None:
    """Bring a file, or the names in a directory, onto the disk.

    Raises:
        OSError: It cannot be.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def synchronise_all(directory: Path) -> None:
    """Bring a directory with its files, which has no further directories, onto the disk."""
    for path in directory.iterdir():
        synchronise(path)
    synchronise(directory)


def move(source: Path, target: Path) -> None:
    """Give what is on the disk another name, in another directory of the same file system."""
    source.rename(target)
    synchronise(target.parent)
    if source.parent != target.parent:
        synchronise(source.parent)


def write(path: Path, content: bytes) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    synchronise(temporary)
    move(temporary, path)


def link(path: Path, target: str) -> None:
    """Let a symbolic link lead elsewhere, without a moment in which there is none."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    move(temporary, path)
