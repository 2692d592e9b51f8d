"""Tell wheels from other archives, and find them in a folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from gaitway.packages.archive import UNREADABLE

_BUILDS = frozenset({"build", "dist"})
"""Folders in which a project's own wheels are left over from a build."""


def is_wheel(archive: Path) -> bool:
    """Whether an archive is a wheel, by its content: a download may change its name."""
    if not zipfile.is_zipfile(archive):
        return archive.name.lower().endswith(".whl")
    try:
        with zipfile.ZipFile(archive) as file:
            return any(re.fullmatch(r"[^/]+\.dist-info/WHEEL", name) for name in file.namelist())
    except UNREADABLE:
        # Unpacking it says what is wrong.
        return False


def wheels_in(folder: Path, *, with_builds: bool) -> Iterator[Path]:
    """List the wheels in a folder.

    Args:
        folder: What was unpacked.
        with_builds: Whether to list those in folders that a build leaves beside a project, too.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != ".whl" or not path.is_file() or path.name.startswith("."):
            continue
        parts = path.relative_to(folder).parts[:-1]
        if "__MACOSX" not in parts and (with_builds or not _BUILDS & set(parts)):
            yield path
