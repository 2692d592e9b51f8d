"""Where Isaac Lab 3 is, and what its processes need to know before it is imported."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gaitway.contracts.errors import PlatformError
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.assets.origins import ASSET_ROOT, set_roots
from gaitway.simulators.isaaclab3.kernels import keep_kernels

RELEASE = "3."
BESIDE = Path(sys.prefix) / "isaaclab3"
"""In a development environment, where another release shares the names of its packages; an image has it installed."""
_ASSETS_BESIDE = BESIDE.with_name("isaaclab3-assets")
_ONE_THREAD = ("OMP_NUM_THREADS", "1")
"""On a CPU more threads make the small networks slower, as in the embedded simulator."""


def enter_isaac_lab() -> Assets:
    """Make Isaac Lab 3 importable in this process, and tell it where assets are.

    Returns:
        The assets that it may use.

    Raises:
        PlatformError: It is not installed.
    """
    if BESIDE.is_dir() and str(BESIDE) not in sys.path:
        sys.path.insert(0, str(BESIDE))
    found = _release()
    if found is None or not found.startswith(RELEASE) or importlib.util.find_spec("isaaclab_newton") is None:
        what = "is not installed" if found is None else f"is installed as {found}"
        raise PlatformError(
            f"Isaac Lab 3 {what}: this simulator runs in an image that holds it, or where `make isaaclab3` has put it; "
            "on another machine, set GAITWAY_SIMULATOR=embedded"
        )
    os.environ.setdefault(*_ONE_THREAD)
    if _ASSETS_BESIDE.is_dir():
        os.environ.setdefault(ASSET_ROOT, str(_ASSETS_BESIDE))
    keep_kernels(os.environ)
    # Hydra would print its errors and exit; this way they are raised.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    return Assets(set_roots(os.environ))


def _release() -> str | None:
    try:
        return version("isaaclab")
    except PackageNotFoundError:
        return None
