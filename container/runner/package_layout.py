"""Where the modules of an unpacked or installed project are, which of them register tasks, and what they depend on."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, Field

from gaitway.contracts.errors import CustomEnvironmentError

logger = logging.getLogger(__name__)

ENTRY_POINTS = "gaitway.tasks"
"""Group of entry points by which a package names the modules that register its tasks; without it all are imported."""

_NO_PACKAGES = frozenset(
    {"benchmarks", "bin", "build", "dist", "doc", "docs", "examples", "scripts", "test", "tests", "tools"}
)
"""Folders of a project that hold no package to import, even with an `__init__.py` in them."""
_NO_MODULES = frozenset({"conftest", "noxfile", "setup"})
_FROM_ISAAC_SIM = re.compile(r"isaacsim|isaaclab|omni|usd-core")
"""Distributions that Isaac Sim's image may hold without pip knowing of them: their import tells."""


@dataclass(frozen=True)
class Package:
    """What a simulator needs to know of a project."""

    root: Path
    """Directory to import from."""
    modules: tuple[str, ...]
    missing: tuple[str, ...]
    """Dependencies that this Python does not have."""


class _Project(BaseModel):
    """packaging.python.org/en/latest/specifications/pyproject-toml/."""

    dependencies: list[str] = Field(default_factory=list)
    entry_points: Annotated[dict[str, dict[str, str]], Field(alias="entry-points", default_factory=dict)]


class _ProjectFile(BaseModel):
    project: _Project = Field(default_factory=lambda: _Project.model_validate({}))


def find_package(top: Path, archive: str) -> Package:
    """Look through a directory.

    Args:
        top: What was unpacked, or installed.
        archive: Its name, for errors.

    Raises:
        CustomEnvironmentError: There is nothing to import, or more than one project.
    """
    # What pip installed is imported from where it was put.
    root = top if any(top.glob("*.dist-info")) else _import_root(top, archive)
    entry_points, dependencies = _metadata(root, top, archive)
    named = [entry.value.partition(":")[0].strip() for entry in entry_points if entry.group == ENTRY_POINTS]
    modules = tuple(dict.fromkeys(named)) or tuple(_importable(root))
    if not modules:
        raise _empty(archive)
    return Package(root=root.resolve(), modules=modules, missing=tuple(_missing(dependencies)))


def top_level_names(root: Path) -> set[str]:
    """List every name that an import could find in a directory."""
    return {path.name for path in _packages(root)} | {path.stem for path in root.glob("*.py")}


def _import_root(top: Path, archive: str) -> Path:
    """Find the directory nearest to the top that holds packages, or else one that holds modules."""
    kinds: tuple[Callable[[Path], Iterable[Path]], ...] = (_packages, _modules)
    for kind in kinds:
        level = [top]
        while level:
            found = [directory for directory in level if any(kind(directory))]
            if len(found) > 1:
                names = ", ".join(str(path.relative_to(top)) for path in found)
                raise CustomEnvironmentError(
                    f"the custom environment {archive} holds packages in several folders ({names}): give one of them, "
                    "or a wheel"
                )
            if found:
                return found[0]
            level = [child for directory in level for child in sorted(directory.iterdir()) if _may_hold_code(child)]
    raise _empty(archive)


def _packages(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if _may_hold_code(path) and (path / "__init__.py").is_file():
            yield path


def _modules(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.glob("*.py")):
        if path.stem.isidentifier() and path.stem not in _NO_MODULES and path.is_file():
            yield path


def _may_hold_code(path: Path) -> bool:
    return path.is_dir() and path.name not in _NO_PACKAGES and not path.name.startswith((".", "__"))


def _importable(root: Path) -> list[str]:
    """List what a directory offers to import: packages, else modules, else packages in namespaces."""
    names = [path.name for path in _packages(root)] or [path.stem for path in _modules(root)]
    if names:
        return names
    packages = {path.parent for path in root.rglob("__init__.py")}
    return sorted(".".join(path.relative_to(root).parts) for path in packages if path.parent not in packages)


def _metadata(root: Path, top: Path, archive: str) -> tuple[list[EntryPoint], list[str]]:
    """Read entry points and dependencies, of what pip installed or of a project's own file."""
    for found in distributions(path=[str(root)]):
        return list(found.entry_points), found.requires or []
    for directory in (root, *root.parents):
        file = directory / "pyproject.toml"
        if file.is_file():
            try:
                project = _ProjectFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).project
            except ValueError as error:
                raise CustomEnvironmentError(
                    f"the custom environment {archive} has a pyproject.toml that cannot be read: {error}"
                ) from error
            groups = project.entry_points
            return [
                EntryPoint(*entry, group) for group in groups for entry in groups[group].items()
            ], project.dependencies
        if directory == top:
            break
    return [], []


def _missing(dependencies: Iterable[str]) -> Iterator[str]:
    for text in dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            logger.warning("the custom environment has a dependency that cannot be read: %r", text)
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if _FROM_ISAAC_SIM.match(requirement.name.lower()):
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            if PathFinder.find_spec(requirement.name.replace("-", "_")) is None:
                yield str(requirement)
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            # Images pin what works together; a simulator that starts is a better judge than a version's number.
            logger.warning("the custom environment asks for %s, the image has %s", requirement, there)


def _empty(archive: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(
        f"the custom environment {archive} holds no Python package: allowed are a wheel, or a project with a folder "
        "that has an __init__.py"
    )
