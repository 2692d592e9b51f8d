"""Isaac Lab 3 as it is installed here, in processes of its own; tests with it are skipped where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gaitway.local import isaaclab3

# Where it can be, `make test` has installed it: its absence is a failure there.
only_with_isaac_lab_3 = pytest.mark.skipif(
    isaaclab3.why_unsupported() is not None, reason=isaaclab3.why_unsupported() or ""
)


def run(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with Isaac Lab 3 on its path."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment(variables), capture_output=True, text=True
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return os.environ | isaaclab3.variables() | {"OMP_NUM_THREADS": "1"} | dict(variables)
