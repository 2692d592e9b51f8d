"""Kit's caches, on a volume that outlives the job: compiled shaders, kernels and fetched assets cost minutes."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from container.simulators.isaaclab.installation import isaac_sim

CACHE_ROOT = "GAITWAY_CACHE_ROOT"
DEFAULT_CACHE_ROOT = "/var/cache/gaitway"


def cached_directories() -> dict[str, Path]:
    """Name Kit's caches, and say where it looks for them.

    docs.isaacsim.omniverse.nvidia.com/5.1.0/installation/install_container.html mounts the same ones.
    """
    home = Path.home()
    return {
        "kit": isaac_sim() / "kit" / "cache",
        "ov": home / ".cache" / "ov",
        "gl": home / ".cache" / "nvidia" / "GLCache",
        "compute": home / ".nv" / "ComputeCache",
        "ov-data": home / ".local" / "share" / "ov" / "data",
        "warp": home / ".cache" / "warp",
    }


def keep_caches() -> None:
    """Let Kit's caches be directories of the volume; where none is mounted, they stay in the container.

    Several processes may do it at the same time, and a cache that cannot be moved is no reason to fail.
    """
    root = Path(os.environ.get(CACHE_ROOT, DEFAULT_CACHE_ROOT))
    if not root.is_dir() or not os.access(root, os.W_OK):
        return
    for name, directory in cached_directories().items():
        with contextlib.suppress(OSError):
            _move(directory, root / name)


def _move(directory: Path, target: Path) -> None:
    """Put a link to a directory of the volume in a directory's place."""
    target.mkdir(exist_ok=True)
    if directory.is_symlink():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.is_dir():
        # What the image brings is worth keeping; what the volume holds is newer.
        aside = directory.with_name(f"{directory.name}.{os.getpid()}")
        directory.rename(aside)
        if not any(target.iterdir()):
            shutil.copytree(aside, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
    directory.symlink_to(target, target_is_directory=True)
