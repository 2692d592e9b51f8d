"""Warp's compiled kernels, kept and shared: compiling those of a task takes a minute on a CPU, two on a GPU.

Warp 1.17 compiles a module for the machine it runs on, and keeps it below WARP_CACHE_PATH (warp/_src/build.py,
`init_kernel_cache`) in a folder for its own version; a module's folder is named after a digest of its source and
options, and a file in it after the GPU's architecture, or the CPU's. So one folder serves every version of Warp, every
task and every machine. Processes may share it, also over a network: each compiles into a folder of its own, which
appears by a rename, and the second process leaves the first one's (warp/_src/context.py, `Module._compile`).

An image brings the kernels of some tasks (precompile.py). They are added to the shared folder file by file, since a
module's folder holds the code of every architecture that has run it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from uuid import uuid4

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


CUBIN = "cubin"


def ask_for_cubin() -> None:
    """Let Warp ask for code of the GPU's own architecture, which is what an image brings; before a simulation begins.

    By itself Warp asks for PTX where the driver is as new as its own CUDA (warp/_src/context.py,
    `Device.get_cuda_output_format`): another file, which the driver has to compile once more. And LEAPP, which Isaac
    Lab imports where it is installed, asks for PTX of sm_75 for the whole process, for exports of its own
    (leapp/leapp_graph/datatypes/warp/__init__.py of 0.7.2): it is imported first here, so that it cannot do so later.
    """
    import warp

    with contextlib.suppress(ImportError):
        import leapp.leapp_graph.datatypes.warp  # noqa: F401 - it changes Warp's configuration
    warp.config.cuda_output = CUBIN


def _add(brought: Path, folder: Path) -> None:
    """Copy the files that are not there yet; each appears whole, as Warp's own do."""
    for file in sorted(brought.glob("*/wp_*/*")):
        target = folder / file.relative_to(brought)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # Jobs on several machines may copy at once, as the same process id.
        part = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            shutil.copyfile(file, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
