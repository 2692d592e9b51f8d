"""Lay packages out in a directory, a folder for each, and list the projects in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.archive import unpack
from gaitway.packages.projects import ProjectRoot, find_projects, not_importable
from gaitway.packages.wheels import is_wheel, wheels_in

_MAX_NAME = 64
_SHOWN = 3

InstallWheel = Callable[[Path, Path], None]
"""Puts a wheel into a directory."""


def lay_out(archives: Sequence[Path], target: Path, install_wheel: InstallWheel) -> list[ProjectRoot]:
    """Unpack archives, install wheels, and list the projects in them.

    Args:
        archives: Each a wheel, or an archive with projects, packages or wheels in it.
        target: Directory for all of them.
        install_wheel: How a wheel is installed.

    Raises:
        CustomEnvironmentError: What is wrong with one, and what to do.
    """
    projects = [project for archive in archives for project in _projects(archive, target, install_wheel)]
    # Those of the same name in several archives get their place in front.
    names = [project.name for project in projects]
    return [
        replace(project, name=str(project.folder.relative_to(target))) if names.count(project.name) > 1 else project
        for project in projects
    ]


def _projects(archive: Path, target: Path, install_wheel: InstallWheel) -> list[ProjectRoot]:
    folder = _folder(target, archive.name)
    if is_wheel(archive):
        install_wheel(archive, folder)
        found = find_projects(folder)
    else:
        unpack(archive, folder)
        found = find_projects(folder)
        for wheel in wheels_in(folder, with_builds=not any(project.modules for project in found)):
            place = _folder(target, wheel.name)
            install_wheel(wheel, place)
            found += find_projects(place)
    if not any(project.names for project in found):
        raise _nothing_found(archive, folder)
    return found


def _nothing_found(archive: Path, folder: Path) -> CustomEnvironmentError:
    begun = f"the custom environment {archive.name} holds no Python package: "
    if misnamed := not_importable(folder):
        listed = ", ".join(misnamed[:_SHOWN])
        return CustomEnvironmentError(
            f"{begun}Python cannot import {listed} by this name, allowed: letters, digits and _, of which the first is "
            "no digit. Rename it, and what imports it"
        )
    return CustomEnvironmentError(
        f"{begun}allowed are a wheel, several wheels in a .zip or .tar.gz, or a project with a folder that has an "
        "__init__.py"
    )


def _folder(target: Path, archive: str) -> Path:
    """Make a folder for an archive. Its name is that of a module: the archive may be a package without a folder."""
    stem = re.sub(r"\.(tar\.gz|tgz|zip|whl)$", "", archive, flags=re.IGNORECASE)
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)[:_MAX_NAME] or "package"
    name = f"_{name}" if name[0].isdigit() else name
    number = 2
    folder = target / name
    while folder.exists():
        folder = target / f"{name}_{number}"
        number += 1
    folder.mkdir()
    return folder
