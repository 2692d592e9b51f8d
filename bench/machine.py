"""The machine and the versions of a measurement."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from gaitway.installation import REPOSITORY_ROOT

PACKAGES = ("torch", "rsl-rl-lib", "skrl", "rl-games", "tensorboard", "pandas", "boto3", "ministack")
QUIET_LOAD = 0.5
"""Load average: above this, something else uses the machine."""


def describe_machine() -> dict[str, str]:
    """Name processor, memory and operating system."""
    return {
        "processor": f"{_processor()}, {psutil.cpu_count()} logical cores on "
        f"{psutil.cpu_count(logical=False)} physical ones",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
    }


def describe_versions() -> dict[str, str]:
    """Name the versions of what is measured."""
    return {"Python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def describe_commit() -> str:
    """Name the commit that was measured; "unknown" outside of a checkout."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}, with local changes" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
