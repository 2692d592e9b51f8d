"""Kit's caches, on a volume that outlives the job: compiled shaders, kernels and fetched assets cost minutes."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from gaitway.simulators.isaaclab2.installation import isaac_sim

CACHE_ROOT = "GAITWAY_CACHE_ROOT"
DEFAULT_CACHE_ROOT = "/var/cache/gaitway"


def cached_directories() -> dict[str, Path]:
    """List Kit's caches, with the paths where it looks for them.

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
    """Make Kit's caches directories of the volume; if none is mounted, they stay in the container.

    Several processes may do this at the same time, and a cache that cannot be moved is not an error.
    """
    root = Path(os.environ.get(CACHE_ROOT, DEFAULT_CACHE_ROOT))
    if not root.is_dir() or not os.access(root, os.W_OK):
        return
    for name, directory in cached_directories().items():
        with contextlib.suppress(OSError):
            _move(directory, root / name)


def _move(directory: Path, target: Path) -> None:
    """Replace a directory by a link to a directory of the volume."""
    target.mkdir(exist_ok=True)
    if directory.is_symlink():
        # The image has created the link, since the simulator may not change the directory.
        brought = directory.with_name(f"{directory.name}.image")
        if brought.is_dir() and not any(target.iterdir()):
            shutil.copytree(brought, target, symlinks=True, dirs_exist_ok=True)
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.is_dir():
        # Keep the image's files, unless the volume has files: those are newer.
        aside = directory.with_name(f"{directory.name}.{os.getpid()}")
        directory.rename(aside)
        if not any(target.iterdir()):
            shutil.copytree(aside, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
    directory.symlink_to(target, target_is_directory=True)
