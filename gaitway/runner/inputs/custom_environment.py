"""Put packages with custom tasks where the simulator can import them, and return what to import.

A wheel is installed by pip. Any other archive is used in place, like an editable installation: Isaac Lab's extensions
read files beside their packages (`config/extension.toml`), and no package code runs here. What a package depends on
is in the image, or is installed for this run if the request says so: dependencies.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.model import Model
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.runner.inputs.archive import unpack
from gaitway.runner.inputs.choice import choose
from gaitway.runner.inputs.dependencies import provide
from gaitway.runner.inputs.projects import ProjectRoot, find_projects
from gaitway.runner.inputs.wheels import install_wheel, is_wheel, wheels_in

logger = logging.getLogger(__name__)

DIRECTORY = "custom_environment"
"""In the run's directory, which every node and every attempt can read."""
DEPENDENCIES = "dependencies"
"""Beside it."""
_NOTE = ".installed.json"
_MAX_NAME = 64


class _Installed(Model):
    """Written last, so that an incomplete directory of a killed attempt is not used as a package."""

    sha256: tuple[str, ...]
    """Checksums of the archives."""
    environment: CustomEnvironment


def install(
    archives: Sequence[Path],
    directory: Path,
    *,
    task: str = "",
    with_dependencies: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> CustomEnvironment:
    """Install packages for one run, unless an earlier attempt has done so.

    Args:
        archives: Each a wheel, or an archive with projects, packages or wheels in it.
        directory: The run's directory.
        task: The requested task: what its project depends on must be there.
        with_dependencies: Whether to install what the image lacks of that.
        pause: Waits a number of seconds; may raise to end the installation.

    Raises:
        CustomEnvironmentError: What is wrong with a package, and what to do.
    """
    target = directory / DIRECTORY
    sha256 = tuple(_digest(archive) for archive in archives)
    installed = _read(target / _NOTE)
    if installed is not None and installed.sha256 == sha256:
        return installed.environment
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    projects = _named_apart([project for archive in archives for project in _projects(archive, target)], target)
    environment = provide(
        projects,
        choose(projects, target),
        task,
        target=directory / DEPENDENCIES,
        install=with_dependencies,
        pause=pause,
    )
    (target / _NOTE).write_text(_Installed(sha256=sha256, environment=environment).model_dump_json())
    logger.info("the custom environment is there: %s", "; ".join(_told(environment)))
    return environment


def _named_apart(projects: list[ProjectRoot], target: Path) -> list[ProjectRoot]:
    """Let the names of several archives' projects differ: those of the same name get their place in front."""
    names = [project.name for project in projects]
    return [
        replace(project, name=str(project.folder.relative_to(target))) if names.count(project.name) > 1 else project
        for project in projects
    ]


def _told(environment: CustomEnvironment) -> Iterable[str]:
    for project in environment.projects:
        yield f"{project.name} with {', '.join(project.modules)}"
    for words in environment.passed_over:
        yield f"passed over: {words}"


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(note: Path) -> _Installed | None:
    try:
        return _Installed.model_validate_json(note.read_text())
    except (OSError, ValidationError):
        return None


def _projects(archive: Path, target: Path) -> list[ProjectRoot]:
    """Unpack or install an archive, and list the projects in it.

    Raises:
        CustomEnvironmentError: It is refused, or holds nothing to import.
    """
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
        raise CustomEnvironmentError(
            f"the custom environment {archive.name} holds no Python package: allowed are a wheel, several wheels in a "
            ".zip or .tar.gz, or a project with a folder that has an __init__.py"
        )
    return found


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
