"""Write down what the images install: `python -m container.pin_requirements`, whenever the repository's pins change.

requirements.txt is for the runner, requirements-isaaclab.txt for what our code imports in Isaac Sim's Python besides
Isaac Lab and what that brings, requirements-embedded.txt for the embedded simulator. Each is complete, and installed
without looking for what a package needs: an image has what was tested here, and a new version of a tool that only
developers use builds none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_FOLDER = Path(__file__).parent
_RUNNER = (
    *("boto3", "jinja2", "nvidia-ml-py", "packaging", "pandas", "prometheus-client", "pydantic", "tenacity"),
    "tensorboard",
)
_PROJECT = tomllib.loads((_FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_EMBEDDED = (*_RUNNER, *_PROJECT["optional-dependencies"]["simulators"])
_IMAGE = {
    "extra": "",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "python_full_version": "3.11.14",
    "python_version": "3.11",
    "sys_platform": "linux",
}
LEFT_OUT = ("cuda-", "nvidia-", "triton", "setuptools")
"""Of a torch with CUDA, which is none of the images' business; and what an environment has in any version."""

_ISAAC_LAB = ("annotated-types", "python-dateutil")
_OLDER = (
    *("pandas==2.3.3", "pytz==2025.2", "tzdata==2025.2"),
    *("pydantic==2.11.10", "pydantic-core==2.33.2", "typing-inspection==0.4.2"),
)
"""Isaac Sim 5.1 pins numpy 1.26 and typing-extensions 4.12, and newer ones of these take neither."""

FILES = {
    "requirements.txt": (_RUNNER, ()),
    "requirements-isaaclab.txt": (_ISAAC_LAB, _OLDER),
    # torch asks for a newer one than the base image may have.
    "requirements-embedded.txt": (_EMBEDDED, ("setuptools==80.9.0",)),
}
"""What is written: from which packages on, and what besides."""


def pins(packages: Iterable[str]) -> list[str]:
    """List packages and all that they need in turn, with the versions installed here."""
    found: dict[str, str] = {}
    waiting = [Requirement(package) for package in packages]
    asked = {canonicalize_name(requirement.name) for requirement in waiting}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen or (name.startswith(LEFT_OUT) and name not in asked):
            continue
        seen.add(key)
        installed = distribution(name)
        # A version with a local part, as 2.13.0+cpu, is one of several builds of the same version.
        found[name] = installed.version.partition("+")[0]
        waiting += _needs(installed.requires or [], requirement.extras)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _needs(requirements: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate(_IMAGE | {"extra": extra}) for extra in ("", *extras)):
            yield requirement


def text(file_name: str) -> str:
    """Write a file."""
    packages, besides = FILES[file_name]
    heading = "# Made by `python -m container.pin_requirements` from the pins of the repository."
    return "\n".join([heading, *sorted([*pins(packages), *besides])]) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (_FOLDER / name).write_text(text(name), encoding="utf-8")
