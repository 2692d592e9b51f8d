"""What the images install is what was tested here, and all that their code imports."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from container.pin_requirements import FILES, text

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "container"
GAITWAY = ROOT / "gaitway"
SHARED = [GAITWAY / part for part in ("aws", "contracts", "libraries", "outputs", "packages")]
IN_ISAAC_LAB = {
    *("carb", "gymnasium", "hydra", "isaaclab", "isaaclab_rl", "isaaclab_tasks", "numpy", "omegaconf", "onnx"),
    *("rl_games", "rsl_rl", "skrl", "tensorboard", "tensordict", "torch", "yaml"),
}
"""What the image of Isaac Lab 2.3.2 brings, of what our code in it imports."""


def imports(folder: Path) -> set[str]:
    """Packages that the files below a folder import when they run, ours and Python's own left out."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in running(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module or "")
    tops = {name.partition(".")[0] for name in names}
    return tops - {"gaitway"} - sys.stdlib_module_names


def running(tree: ast.AST) -> list[ast.AST]:
    """Everything but what stands under `if TYPE_CHECKING`."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        found += [node, *running(node)]
    return found


def installed(file_name: str) -> set[str]:
    lines = (CONTAINER / file_name).read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0] for line in lines if "==" in line}


def distributions(packages: set[str]) -> set[str]:
    known = packages_distributions()
    # `google` is a folder that many distributions share.
    return {canonicalize_name(known[package][0]) if package != "google" else "protobuf" for package in packages}


@pytest.mark.parametrize("file_name", FILES)
def test_the_pins_are_those_of_the_repository(file_name: str) -> None:
    written = (CONTAINER / file_name).read_text(encoding="utf-8")
    assert written == text(file_name), "run `python -m container.pin_requirements`"


def test_the_runner_finds_all_that_it_imports() -> None:
    # Not used there: libraries/recorded.py, which construct_run and the simulators import.
    imported = set().union(*(imports(folder) for folder in [GAITWAY / "runner", *SHARED])) - {"yaml"}
    assert imported
    assert distributions(imported) - installed("requirements.txt") == set()


def test_what_runs_in_isaac_sim_finds_all_that_it_imports() -> None:
    folders = [GAITWAY / "simulators" / part for part in ("common", "isaaclab2")]
    # Of what the runner and the simulators share, these import nothing else.
    folders += [GAITWAY / part for part in ("contracts", "libraries")]
    # Not used there: common/video.py, since Isaac Lab 2 writes its videos itself, and common/libraries/sb3.py.
    imported = set().union(*(imports(folder) for folder in folders)) - IN_ISAAC_LAB - {"av", "stable_baselines3"}
    assert distributions(imported) - installed("requirements-isaaclab.txt") == set()


def test_the_embedded_simulator_finds_all_that_it_imports() -> None:
    folders = [GAITWAY / "simulators" / "common", GAITWAY / "simulators" / "embedded", GAITWAY / "runner"]
    # Only Isaac Lab's simulators import common/isaaclab.
    imported = set().union(*(imports(folder) for folder in folders)) - {"isaaclab_rl", "isaaclab_tasks"}
    assert distributions(imported) - installed("requirements-embedded.txt") == set()
