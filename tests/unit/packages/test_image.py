"""What the images hold that are built from pins: every module that their distributions bring is known."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from gaitway.libraries.simulators import SIMULATORS
from gaitway.packages.image import PinnedImage

ROOT = Path(__file__).parents[3]
PINNED = [name for name, support in SIMULATORS.items() if support.pins is not None]
_PRIVATE = frozenset({"_distutils_hack", "_yaml", "example", "isympy"})
"""What distributions bring beside their modules, and nobody imports."""


def image(simulator: str) -> PinnedImage:
    pins = SIMULATORS[simulator].pins  # type: ignore[index]
    assert pins is not None
    return PinnedImage(simulator, (ROOT / pins.file).read_text(encoding="utf-8"), pins.python)


def modules_here() -> dict[str, set[str]]:
    """The top-level modules of every distribution of this environment."""
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        tops = set()
        for file in distribution.files or ():
            top = file.parts[0]
            if len(file.parts) > 1 and top.isidentifier() and file.suffix == ".py":
                tops.add(top)
            elif len(file.parts) == 1 and file.suffix in (".py", ".so"):
                tops.add(top.partition(".")[0])
        found[canonicalize_name(distribution.metadata["Name"])] = tops - {"__pycache__"} - _PRIVATE
    return found


@pytest.mark.parametrize("simulator", PINNED)
def test_every_module_of_a_pinned_distribution_is_there(simulator: str) -> None:
    holds, here = image(simulator), modules_here()
    pinned = {name for name in here if holds.version_of(name) is not None}
    assert {"torch", "numpy", "gymnasium"} <= pinned
    assert {name: lacking for name in pinned if (lacking := {m for m in here[name] if not holds.has_module(m)})} == {}


@pytest.mark.parametrize("simulator", PINNED)
@pytest.mark.parametrize("name", ["open3d", "cv2", "unitree_sdk2py", "google.cloud.storage", "torch_geometric"])
def test_what_is_not_pinned_is_not_there(simulator: str, name: str) -> None:
    assert not image(simulator).has_module(name)


@pytest.mark.parametrize("simulator", PINNED)
@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("sys_platform == 'linux'", True),
        ("platform_system == 'Windows'", False),
        ("platform_machine == 'aarch64'", False),
        ("python_version >= '3.10'", True),
        ("python_full_version < '3.9'", False),
        ("implementation_name == 'pypy'", False),
    ],
)
def test_markers_are_those_of_the_image(simulator: str, marker: str, applies: bool) -> None:
    assert Marker(marker).evaluate(dict(image(simulator).markers)) is applies


@pytest.mark.parametrize(("simulator", "stage"), [("embedded", "embedded"), ("isaaclab-3", "isaaclab-3")])
def test_pins_and_python_are_those_of_the_dockerfile(simulator: str, stage: str) -> None:
    dockerfile = (ROOT / "container/Dockerfile").read_text(encoding="utf-8")
    built = dockerfile.partition(f" AS {stage}\n")
    python = re.findall(r"FROM python:(\d+\.\d+)", built[0])[-1]
    pins = SIMULATORS[simulator].pins  # type: ignore[index]
    assert pins is not None
    assert pins.python == python
    assert f"COPY {pins.file} " in built[2].partition("\nFROM ")[0]
