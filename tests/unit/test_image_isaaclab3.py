"""The image `isaaclab-3`: what it installs is what the repository pins, by digest, and within its budget."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from container import pin_isaaclab3
from gaitway.instances.types import INSTANCE_SIZES
from tests.local.image_tree import instructions
from tests.unit.test_image_requirements import GAITWAY, IN_ISAAC_LAB, distributions, imports

INSTALL = Path(__file__).parents[2] / "container" / "install_isaaclab3.sh"


def test_its_pins_are_those_of_the_repository_and_within_the_budget() -> None:
    assert pin_isaaclab3.problems() == []
    assert 2000 < pin_isaaclab3.megabytes() <= pin_isaaclab3.BUDGET_MB


def test_every_line_has_a_digest_and_a_size() -> None:
    lines = pin_isaaclab3.FILE.read_text(encoding="utf-8").splitlines()[1:]
    assert len(pin_isaaclab3.pinned()) == len(lines)
    assert all(line.endswith(" MB") for line in lines)


def test_lint_says_what_is_too_much_or_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "requirements-isaaclab3.txt"
    text = pin_isaaclab3.FILE.read_text(encoding="utf-8")
    monkeypatch.setattr(pin_isaaclab3, "FILE", changed)
    changed.write_text(text.replace("newton==1.6.1", "newton==1.6.0"))
    [problem] = pin_isaaclab3.problems()
    assert "'newton', '1.6.0'" in problem
    changed.write_text(text.replace("warp-lang==1.17.0", "#warp-lang==1.17.0"))
    assert "warp-lang" in pin_isaaclab3.problems()[0]
    changed.write_text(text)
    monkeypatch.setattr(pin_isaaclab3, "BUDGET_MB", 3000)
    assert "more than the 3000" in pin_isaaclab3.problems()[0]


def test_what_it_runs_finds_all_that_it_imports() -> None:
    """Isaac Lab, Newton and what they bring are not in this environment: their pins are the same file's."""
    folders = [GAITWAY / "simulators" / "common", GAITWAY / "simulators" / "isaaclab3", GAITWAY / "runner"]
    others = IN_ISAAC_LAB | {"isaaclab_newton", "leapp", "isaaclab_visualizers", "newton", "pxr", "warp", "websockets"}
    imported = set().union(*(imports(folder) for folder in folders)) - others
    assert distributions(imported) - set(pin_isaaclab3.pinned()) == set()


ARCHITECTURES = {"NVIDIA A10G": 86, "NVIDIA L4": 89, "NVIDIA L40S": 89, "NVIDIA H100": 90}
"""developer.nvidia.com/cuda-gpus"""


def test_it_brings_kernels_for_the_gpus_of_every_instance_type() -> None:
    (line,) = [text for name, text in instructions("isaaclab-3") if name == "RUN" and "precompile" in text]
    compiled = {int(number) for number in line.split("isaaclab3.precompile ")[1].split()[0].split(",")}
    assert {ARCHITECTURES[found.gpu] for found in INSTANCE_SIZES.values()} <= compiled


def test_both_images_of_isaac_lab_talk_through_adapters_with_the_same_release() -> None:
    stages = [dict_of(stage) for stage in ("isaaclab-3", "isaaclab")]
    assert stages[0] == stages[1]
    assert stages[0]["NCCL_NET_PLUGIN"] == "ofi"
    assert stages[0]["EFA_INSTALLER_VERSION"]


def dict_of(stage: str) -> dict[str, str]:
    """What of a stage's settings NCCL and the installer of EFA read."""
    parts = [part for name, text in instructions(stage) if name in ("ARG", "ENV") for part in text.split()]
    return {name: value for name, value in (part.split("=", 1) for part in parts) if name.startswith(("EFA", "NCCL"))}


def test_a_file_with_another_digest_is_not_installed(tmp_path: Path) -> None:
    """pip itself, in an environment of its own."""
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", python.parents[1]], check=True
    )
    digest = hashlib.sha256(b"another file").hexdigest()
    pinned = tmp_path / "requirements.txt"
    pinned.write_text(f"setuptools==81.0.0 --hash=sha256:{digest}  # 1.00 MB\n")
    installed = subprocess.run([INSTALL, python, pinned], capture_output=True, text=True)
    assert installed.returncode != 0
    assert "DO NOT MATCH" in installed.stderr
