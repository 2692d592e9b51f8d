"""pyproject.toml says what the package needs, requirements.txt which versions of it are tested: they name the same."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(file: str) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line]
    assert all(re.fullmatch(r"==[^*]+", str(pin.specifier)) for pin in found)
    return {canonicalize_name(pin.name): pin for pin in found}


def named() -> list[Requirement]:
    """What the package and its extras need; extras that need one another are left out."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    needed = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in needed if requirement.name != "gaitway"]


def test_the_checkout_pins_what_the_package_and_its_extras_need_and_nothing_else() -> None:
    pinned = pins("requirements.txt")
    assert {canonicalize_name(needed.name) for needed in named()} == set(pinned)
    for needed in named():
        pin = pinned[canonicalize_name(needed.name)]
        [version] = [specifier.version for specifier in pin.specifier]
        assert needed.specifier.contains(version), f"{needed}, but {pin} is what is tested"
        assert needed.extras == pin.extras


def test_what_is_brought_along_is_pinned_apart() -> None:
    assert set(pins("requirements.txt")) & set(pins("constraints.txt")) == set()


def test_extras_need_extras_that_exist() -> None:
    extras = PROJECT["optional-dependencies"]
    needed = {
        extra
        for group in extras.values()
        for requirement in map(Requirement, group)
        if requirement.name == "gaitway"
        for extra in requirement.extras
    }
    assert needed <= set(extras)
    assert {"local", "deploy", "simulators", "dev"} <= set(extras)


def test_a_python_without_the_cdk_is_told_what_to_install() -> None:
    # -S leaves out site-packages, as another Python than the checkout's would.
    ended = subprocess.run([sys.executable, "-S", "app.py"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 1
    assert re.fullmatch(r"gaitway: the stacks need \w+, which .*: run `make setup` .*\n", ended.stderr), ended.stderr


def test_the_command_line_needs_no_extra() -> None:
    extras = ("aws_cdk", "cryptography", "kubeflow", "kubernetes", "ministack", "torch")
    program = f"import sys; sys.modules.update(dict.fromkeys({extras!r})); import gaitway.cli"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
