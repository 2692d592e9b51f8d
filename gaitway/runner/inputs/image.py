"""Which distributions and modules the simulator's Python has, without importing any."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

_OF_THE_RUNNER = "GAITWAY_LIBRARIES"
"""Directory of the runner's own libraries, which simulators do not have: gaitway/runner/start.py."""
_ISAAC_SIM = ("ISAACSIM_ROOT_PATH", "ISAAC_PATH")
"""Variables that hold Isaac Sim's root; in NVIDIA's images it is /isaac-sim."""
_PREBUNDLED = ("ext*/*/pip*prebundle*", "kit/ext*/*/pip*prebundle*")
"""Directories of extensions with packages in them, torch among others: the app puts them on the path when it starts.
github.com/isaac-sim/IsaacLab/pull/6288 and github.com/isaac-sim/IsaacLab/issues/1067 show some."""
_BROUGHT = re.compile(r"isaacsim|isaaclab|omni(-|$)|usd-core$|usd-exchange$")
"""Distributions that Isaac Sim and Isaac Lab have unknown to pip; an import shows whether they exist. A second USD
beside Isaac Sim's own breaks it: github.com/isaac-sim/IsaacLab/issues/5025."""

_MODULES = {
    "attrs": "attr",
    "beautifulsoup4": "bs4",
    "faiss-cpu": "faiss",
    "gitpython": "git",
    "hydra-core": "hydra",
    "msgpack-python": "msgpack",
    "mujoco-py": "mujoco_py",
    "nvidia-ml-py": "pynvml",
    "onnxruntime-gpu": "onnxruntime",
    "opencv-contrib-python": "cv2",
    "opencv-contrib-python-headless": "cv2",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pin": "pinocchio",
    "pin-pink": "pink",
    "protobuf": "google.protobuf",
    "pycollada": "collada",
    "pycryptodome": "Crypto",
    "pygame-ce": "pygame",
    "pyopengl": "OpenGL",
    "pyserial": "serial",
    "python-dateutil": "dateutil",
    "python-dotenv": "dotenv",
    "python-fcl": "fcl",
    "pyyaml": "yaml",
    "pyzmq": "zmq",
    "rsl-rl-lib": "rsl_rl",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "tensorboardx": "tensorboardX",
    "warp-lang": "warp",
    "websocket-client": "websocket",
}
"""Distributions whose module has another name, by the form in which names are compared."""
_DISTRIBUTIONS = {
    "attr": "attrs", "bs4": "beautifulsoup4", "collada": "pycollada", "crypto": "pycryptodome", "cv2": "opencv-python",
    "dateutil": "python-dateutil", "dotenv": "python-dotenv", "fcl": "python-fcl", "git": "gitpython",
    "opengl": "pyopengl", "pil": "pillow", "pinocchio": "pin", "pynvml": "nvidia-ml-py", "rsl-rl": "rsl-rl-lib",
    "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
"""Distributions by the name of their module, where people take one for the other."""


def module_of(name: str) -> str:
    """Return the module that a distribution most likely brings."""
    return _MODULES.get(canonicalize_name(name), name.replace("-", "_"))


def distribution_of(module: str) -> str | None:
    """Return the distribution that brings a module of another name; None if there is no other name."""
    return _DISTRIBUTIONS.get(canonicalize_name(module))


class Image:
    """What the simulator's Python finds.

    Args:
        path: Directories that it imports from.
        prebundled: Those that only Isaac Sim's app adds, when it starts.
    """

    def __init__(self, path: Sequence[str], prebundled: Sequence[str] = ()) -> None:
        self.path = [*path, *prebundled]

    @classmethod
    def here(cls) -> Image:
        """Look at the machine that the runner is on."""
        of_the_runner = os.environ.get(_OF_THE_RUNNER)
        path = [entry for entry in sys.path if entry != of_the_runner]
        return cls(path, [str(directory) for directory in _prebundled(path)])

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """By name, in the form in which names are compared; of two the one that is imported."""
        found: dict[str, Distribution] = {}
        for distribution in distributions(path=self.path):
            # A directory that was only half removed has no name.
            if name := distribution.metadata["Name"]:
                found.setdefault(canonicalize_name(name), distribution)
        return found

    def has_module(self, name: str) -> bool:
        """Return whether a module can be imported."""
        top, _, rest = name.partition(".")
        spec = PathFinder.find_spec(top, self.path)
        if spec is None or (not rest and spec.origin is None):
            # A folder of that name, without a module in it, is found as well.
            return False
        return not rest or any(
            (Path(place) / rest.replace(".", "/")).exists() for place in spec.submodule_search_locations or ()
        )


def is_brought(name: str) -> bool:
    """Return whether only Isaac Sim or Isaac Lab bring a distribution: pip must not install it."""
    return _BROUGHT.match(canonicalize_name(name)) is not None


def _prebundled(path: Sequence[str]) -> Iterator[Path]:
    roots = [Path(os.environ[name]) for name in _ISAAC_SIM if name in os.environ]
    # Installed by pip, Isaac Sim is a package.
    roots += [Path("/isaac-sim"), *(Path(entry) / "isaacsim" for entry in path)]
    for root in dict.fromkeys(roots):
        for pattern in _PREBUNDLED:
            yield from sorted(place for place in root.glob(pattern) if place.is_dir())
