"""Raise all pins in one go, and say what changed: `make update`.

pyproject.toml says how far each pin may go. pip chooses the newest versions that work together, and they are written to
requirements.txt (what we use directly) and constraints.txt (what that depends on); npm does the same for package.json
and its lock. What an image installs follows from these pins: container/pin_requirements.py. Isaac Lab's releases, in
requirements-isaaclab.txt, are those of the base image, and stay.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from container.pin_requirements import LEFT_OUT

_ROOT = Path(__file__).parents[1]
_REQUIREMENTS, _CONSTRAINTS, _PACKAGES = "requirements.txt", "constraints.txt", "package.json"
_PIN = re.compile(r"^(?P<name>[\w.-]+)(?P<extras>\[[^\]]*\])?==(?P<version>[^\s;#]+)", re.MULTILINE)


def needs(project: Mapping[str, Any]) -> list[str]:
    """List what the package and all its extras need, from the `project` table of a pyproject.toml."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [text for group in groups for text in group if Requirement(text).name != project["name"]]


def newest(requirements: Iterable[str], *options: str) -> dict[str, str]:
    """Choose the newest versions that fit together, of packages and of all that they bring; nothing is installed.

    Args:
        requirements: What is needed, with ranges.
        options: For `pip install`, such as where to look.

    Raises:
        subprocess.CalledProcessError: pip found none; it has said why.
    """
    dry_run = ("install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-")
    ended = subprocess.run(
        [sys.executable, "-m", "pip", *dry_run, *options, *requirements], check=True, stdout=subprocess.PIPE, text=True
    )
    chosen = (item["metadata"] for item in json.loads(ended.stdout)["install"])
    # A version with a local part, as 2.13.0+cpu, is one of several builds of the same version.
    return {canonicalize_name(one["name"]): one["version"].partition("+")[0] for one in chosen}


def pins(text: str) -> dict[str, str]:
    """Read the versions that a file of requirements pins, by name."""
    return {canonicalize_name(pin["name"]): pin["version"] for pin in _PIN.finditer(text)}


def raised(text: str, versions: Mapping[str, str]) -> str:
    """Put other versions into a file of pins; comments, extras and order stay."""

    def pin(match: re.Match[str]) -> str:
        version = versions.get(canonicalize_name(match["name"]), match["version"])
        return f"{match['name']}{match['extras'] or ''}=={version}"

    return _PIN.sub(pin, text)


def brought(text: str, versions: Mapping[str, str], direct: Iterable[str]) -> str:
    """Write constraints.txt anew: what is brought along, sorted, below the heading that the file has.

    Args:
        text: The file as it is.
        versions: All that was chosen.
        direct: Names of what requirements.txt pins.
    """
    heading = [line for line in text.splitlines() if line.startswith("#")]
    # A torch with CUDA brings these where the index offers that one.
    others = {name: version for name, version in versions.items() if not name.startswith(LEFT_OUT)}
    lines = [f"{name}=={version}" for name, version in sorted(others.items()) if name not in set(direct)]
    return "\n".join([*heading, *lines]) + "\n"


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Say in a line each which versions differ, are new or are gone."""
    return [
        f"{name}: {before.get(name, 'new')} -> {after.get(name, 'gone')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _node(package: Mapping[str, Any]) -> dict[str, str]:
    return {f"{name} (npm)": version for name, version in package["devDependencies"].items()}


def _update_python() -> list[str]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = newest(needs(project))
    before = {name: (_ROOT / name).read_text(encoding="utf-8") for name in (_REQUIREMENTS, _CONSTRAINTS)}
    requirements = raised(before[_REQUIREMENTS], versions)
    constraints = brought(before[_CONSTRAINTS], versions, pins(requirements))
    (_ROOT / _REQUIREMENTS).write_text(requirements, encoding="utf-8")
    (_ROOT / _CONSTRAINTS).write_text(constraints, encoding="utf-8")
    return changes(pins(before[_REQUIREMENTS]) | pins(before[_CONSTRAINTS]), pins(requirements) | pins(constraints))


def _update_node() -> list[str]:
    before = json.loads((_ROOT / _PACKAGES).read_text(encoding="utf-8"))
    latest = [f"{name}@latest" for name in before["devDependencies"]]
    command = ["npm", "install", "--package-lock-only", "--save-dev", "--save-exact", "--silent", *latest]
    subprocess.run(command, check=True, cwd=_ROOT)
    return changes(_node(before), _node(json.loads((_ROOT / _PACKAGES).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    said = [*_update_python(), *_update_node()]
    sys.stdout.write("\n".join(said or ["every pin is as new as pyproject.toml allows"]) + "\n")
