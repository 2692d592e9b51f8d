"""Pins are raised as far as pyproject.toml allows, and what changed is said."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from container.update_pins import brought, changes, needs, newest, pins, raised

REQUIREMENTS = """# Ours.
tiny-robot[arm]==1.0.0  # the arm, too
Tiny.World==2.0.0

# tools
tiny-tool==0.9.0
"""
CONSTRAINTS = """# What these bring.
tiny-base==1.0.0
tiny-gone==1.0.0
"""


def publish(index: Path, name: str, version: str, *needed: str) -> None:
    """Put an empty package into an index."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: arm"]
    lines += [f"Requires-Dist: {one}" for one in needed]
    with zipfile.ZipFile(index / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for version in ("1.0.0", "1.4.0", "2.0.0"):
        publish(tmp_path, "tiny_robot", version, "tiny-base>=1", 'tiny-gripper; extra == "arm"')
    publish(tmp_path, "tiny_world", "2.0.0")
    # The newest tool does not go with the newest base.
    publish(tmp_path, "tiny_tool", "1.0.0", "tiny-base<3")
    for version in ("1.0.0", "2.5.0", "3.0.0"):
        publish(tmp_path, "tiny_base", version)
    publish(tmp_path, "tiny_gripper", "0.1.0")
    return tmp_path


def test_the_newest_versions_within_the_ranges_that_go_together_are_chosen(index: Path) -> None:
    project = {
        "name": "gaitway",
        "dependencies": ["tiny-robot[arm]>=1,<2", "tiny.world>=2,<3"],
        "optional-dependencies": {"dev": ["gaitway[all]", "tiny-tool>=0.9"]},
    }

    versions = newest(needs(project), "--no-index", "--find-links", str(index))

    assert versions == {
        "tiny-robot": "1.4.0",
        "tiny-world": "2.0.0",
        "tiny-tool": "1.0.0",
        "tiny-base": "2.5.0",
        "tiny-gripper": "0.1.0",
    }
    requirements = raised(REQUIREMENTS, versions)
    assert requirements == REQUIREMENTS.replace("1.0.0  #", "1.4.0  #").replace("0.9.0", "1.0.0")
    assert brought(CONSTRAINTS, versions, pins(requirements)) == (
        "# What these bring.\ntiny-base==2.5.0\ntiny-gripper==0.1.0\n"
    )


def test_what_a_torch_with_cuda_brings_is_not_pinned() -> None:
    assert brought("", {"nvidia-cublas": "13.0", "triton": "3.0", "sympy": "1.14"}, []) == "sympy==1.14\n"


def test_what_changed_is_said_in_a_line_each() -> None:
    before, after = pins(REQUIREMENTS + CONSTRAINTS), {"tiny-robot": "1.4.0", "tiny-world": "2.0.0", "tiny-new": "1"}
    assert changes(before, after) == [
        "tiny-base: 1.0.0 -> gone",
        "tiny-gone: 1.0.0 -> gone",
        "tiny-new: new -> 1",
        "tiny-robot: 1.0.0 -> 1.4.0",
        "tiny-tool: 0.9.0 -> gone",
    ]
