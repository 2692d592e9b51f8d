"""Older versions of this repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
OLDER = "246c995"
"""The last commit that took no care of updates: its readers refuse fields that they do not know."""

TOLERANT = "231ac86"
"""The first commit whose readers ignore fields that they do not know."""


def checked_out(commit: str, directory: Path, *folders: str) -> Path:
    """Write the files of a commit of this repository, or some folders of it, into a directory."""
    archive = subprocess.run(["git", "archive", commit, *folders], cwd=_ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.fail(
            f"commit {commit} is not in this clone, and what it does is tested here with today's: run "
            f"`git fetch --unshallow` (git says: {archive.stderr.decode().strip()})"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory
