"""Warp's compiled kernels, kept and shared: compiling those of a task takes a minute on a CPU, two on a GPU.

Warp 1.17 compiles a module for the machine it runs on, and keeps it below WARP_CACHE_PATH (warp/_src/build.py,
`init_kernel_cache`) in a folder for its own version; a module's folder is named after a digest of its source and
options, and a file in it after the GPU's architecture, or the CPU's. So one folder serves every version of Warp, every
task and every machine. Processes may share it, also over a network: each compiles into a folder of its own, which
appears by a rename, and the second process leaves the first one's (warp/_src/context.py, `Module._compile`).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path

logger = logging.getLogger(__name__)

CACHE_PATH = "WARP_CACHE_PATH"
BROUGHT = "GAITWAY_KERNELS"
"""Set by an image that brings compiled kernels: their folder, as Warp made it."""
EFS_ROOT = "GAITWAY_EFS_ROOT"


def keep_kernels(environment: MutableMapping[str, str]) -> Path | None:
    """Let Warp, before it is imported, keep its kernels on the file system that all jobs of the deployment share.

    A cache that cannot be written is no error: Warp then keeps its kernels where it does by itself.

    Args:
        environment: Of the process; a variable is set, unless it is there.

    Returns:
        The folder; None if Warp decides.
    """
    if CACHE_PATH in environment:
        return Path(environment[CACHE_PATH])
    if EFS_ROOT not in environment:
        return None
    folder = Path(environment[EFS_ROOT]) / "caches" / "warp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if brought := environment.get(BROUGHT):
            _add(Path(brought), folder)
    except OSError as error:
        logger.warning("compiled kernels are not kept in %s: %s", folder, error)
    if not os.access(folder, os.W_OK):
        return None
    environment[CACHE_PATH] = str(folder)
    return folder


def _add(brought: Path, folder: Path) -> None:
    """Copy the modules that are not there yet; each appears whole, as Warp's own do."""
    for module in sorted(brought.glob("*/wp_*")):
        target = folder / module.relative_to(brought)
        if target.exists():
            continue
        target.parent.mkdir(exist_ok=True)
        part = target.with_name(f"{target.name}_p{os.getpid()}_brought")
        try:
            shutil.copytree(module, part)
            part.rename(target)
        except OSError:
            # Another process was first, or nothing can be written: then Warp compiles.
            shutil.rmtree(part, ignore_errors=True)
