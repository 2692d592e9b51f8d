"""A stand-in for Kit, as small as can be: Isaac Lab's own launcher, wrappers, Hydra and settings are real on top of it.

Modules that only Isaac Sim brings are placeholders, whose every attribute exists. `isaaclab.envs`, and the cart-pole's
environment, are replaced by the files beside this package, on the physics of the embedded simulator.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

_HERE = Path(__file__).parents[1]
_REPLACED = {
    "isaaclab.envs": _HERE / "envs.py",
    "isaaclab_tasks.direct.cartpole.cartpole_env": _HERE / "cartpole_env.py",
}
_ONLY_IN_ISAAC_SIM = ("carb", "omni", "omni.timeline", "pxr", "trimesh", "warp")


class SimulationApp:
    """Starts at once. Closing ends the process, as Kit does, or hangs, as Kit does at times."""

    def __init__(self, config: dict[str, Any], experience: str) -> None:
        self.config, self.experience = config, experience

    def close(self) -> None:
        """End the process with success, whatever has happened, and without what Python does at its end."""
        if "KIT_HANGS" in os.environ:
            time.sleep(60)
        os._exit(0)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _REPLACED or path is None:
            return None
        # What else is in the package is Isaac Lab's own.
        inside = [str(Path(entry, fullname.rpartition(".")[2])) for entry in path]
        return importlib.util.spec_from_file_location(fullname, _REPLACED[fullname], submodule_search_locations=inside)


sys.meta_path.insert(0, _Finder())
for name in _ONLY_IN_ISAAC_SIM:
    sys.modules[name] = MagicMock(name=name, __path__=[], __spec__=None)
