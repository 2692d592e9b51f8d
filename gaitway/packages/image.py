"""Which distributions and modules an image has, without importing any: the runner's own, or a pinned one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from packaging.utils import canonicalize_name

_OF_THE_RUNNER = "GAITWAY_LIBRARIES"
"""Directory of the runner's own libraries, which simulators do not have: gaitway/runner/start.py."""
_ISAAC_SIM = ("ISAACSIM_ROOT_PATH", "ISAAC_PATH")
"""Variables that hold Isaac Sim's root; in NVIDIA's images it is /isaac-sim."""
_PREBUNDLED = ("ext*/*/pip*prebundle*", "kit/ext*/*/pip*prebundle*")
"""Directories of extensions with packages in them, torch among others: the app puts them on the path when it starts.
github.com/isaac-sim/IsaacLab/pull/6288 and github.com/isaac-sim/IsaacLab/issues/1067 show some."""
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)", re.MULTILINE)
_BESIDE = frozenset({"functorch", "gaitway", "pkg_resources", "pylab", "mpl_toolkits", "torchgen", "usdex"})
"""Modules that distributions bring beside the one that `module_of` names."""
_BROUGHT = re.compile(r"isaacsim|isaaclab|omni(-|$)|usd-core$|usd-exchange$")
"""Distributions that Isaac Sim and Isaac Lab have unknown to pip; an import shows whether they exist. A second USD
beside Isaac Sim's own breaks it: github.com/isaac-sim/IsaacLab/issues/5025."""

_MODULES = {
    "absl-py": "absl",
    "antlr4-python3-runtime": "antlr4",
    "attrs": "attr",
    "beautifulsoup4": "bs4",
    "faiss-cpu": "faiss",
    "gitpython": "git",
    "grpcio": "grpc",
    "hydra-core": "hydra",
    "markdown-it-py": "markdown_it",
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
    "usd-core": "pxr",
    "usd-exchange": "pxr",
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


class Holdings(Protocol):
    """What an image has."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def python(self) -> str:
        """Its Python, as `3.12`."""

    @property
    def markers(self) -> Mapping[str, str]:
        """Its environment markers, where they differ from those of this process."""

    def version_of(self, name: str) -> str | None:
        """Return the version of a distribution, by the form in which names are compared; None if it is not there."""

    def requires_of(self, name: str) -> Sequence[str]:
        """Return what a distribution requires, extras included; nothing where that is not known."""

    def has_module(self, name: str) -> bool:
        """Return whether a module can be imported."""


class Image:
    """What the simulator's Python finds.

    Args:
        path: Directories that it imports from.
        prebundled: Those that only Isaac Sim's app adds, when it starts.
    """

    name = "the image"
    python = ".".join(map(str, sys.version_info[:2]))
    markers: Mapping[str, str] = MappingProxyType({})

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

    def version_of(self, name: str) -> str | None:
        """Return the version of a distribution; None if it is not there."""
        found = self.distributions.get(name)
        return found.version if found else None

    def requires_of(self, name: str) -> Sequence[str]:
        """Return what a distribution requires."""
        return self.distributions[name].requires or ()

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


class PinnedImage:
    """What the image of a simulator has that is built from pins alone, and runs on Linux on x86-64.

    Args:
        simulator: Its name.
        requirements: The text of the file that it is installed from.
        python: Its Python, as `3.12`.
    """

    def __init__(self, simulator: str, requirements: str, python: str) -> None:
        self.name = f"the image of {simulator}"
        self.python = python
        self._versions = {canonicalize_name(pin["name"]): pin["version"] for pin in _PIN.finditer(requirements)}
        modules = {module_of(name) for name in self._versions} | _BESIDE
        self._modules = modules | {name.partition(".")[0] for name in modules}
        # packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers
        self.markers: Mapping[str, str] = {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": "linux",
        }

    def version_of(self, name: str) -> str | None:
        """Return the version of a distribution; None if it is not there."""
        return self._versions.get(canonicalize_name(name))

    def requires_of(self, name: str) -> Sequence[str]:
        """Return nothing: pins do not say what an extra would need."""
        del name
        return ()

    def has_module(self, name: str) -> bool:
        """Return whether a module can be imported: Isaac Lab's own count as there."""
        return name in self._modules or is_brought(name.replace("_", "-"))


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
