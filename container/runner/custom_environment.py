"""Put a package with further tasks where the simulator can import it, and say what is to be imported.

A wheel is installed by pip. Any other archive stays as it lies, like an editable installation: Isaac Lab's extensions
read files beside their packages (`config/extension.toml`), and no code of the package runs here. In neither case is
anything fetched: what the package depends on must be in the image.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from pydantic import ValidationError

from container.runner.custom_environment_archive import check, unpack
from container.runner.package_layout import Package, find_package, top_level_names
from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.model import Model
from gaitway.contracts.simulation import CustomEnvironment

logger = logging.getLogger(__name__)

DIRECTORY = "custom_environment"
"""In the run's directory, which every node and every attempt sees."""
_NOTE = ".installed.json"
_PIP_SECONDS = 300
_OURS = frozenset({"container", "gaitway"})


class _Installed(Model):
    """Written last: what a killed attempt left half done is not taken for a package."""

    sha256: str
    """Of the archive."""
    environment: CustomEnvironment


def install(archive: Path, directory: Path) -> CustomEnvironment:
    """Install a package for one run, unless an earlier attempt has done so.

    Args:
        archive: A .whl, or a .zip or .tar.gz with a project, an sdist or plain packages.
        directory: The run's directory.

    Raises:
        CustomEnvironmentError: What is wrong with the package, and what to do.
    """
    target = directory / DIRECTORY
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    installed = _read(target / _NOTE)
    if installed is not None and installed.sha256 == sha256:
        return installed.environment
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if archive.name.endswith(".whl"):
        check(archive)
        _pip_install(archive, target)
    else:
        unpack(archive, target)
    package = find_package(target, archive.name)
    _check_names(archive, package)
    _check_dependencies(archive, package)
    environment = CustomEnvironment(path=package.root, modules=package.modules)
    (target / _NOTE).write_text(_Installed(sha256=sha256, environment=environment).model_dump_json())
    logger.info("the custom environment %s is there: %s", archive.name, ", ".join(package.modules))
    return environment


def _read(note: Path) -> _Installed | None:
    try:
        return _Installed.model_validate_json(note.read_text())
    except (OSError, ValidationError):
        return None


def _pip_install(wheel: Path, target: Path) -> None:
    # isolated: neither variables nor files of this machine change what pip does.
    options = ("--isolated", "--disable-pip-version-check", "--no-input", "--quiet", "--no-cache-dir")
    offline = ("--no-index", "--no-deps", "--no-compile", "--target", str(target))
    command = (sys.executable, "-m", "pip", *options, "install", *offline, str(wheel))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS)
    if ended.returncode != 0:
        said = " ".join((ended.stderr or ended.stdout).split())
        raise CustomEnvironmentError(f"the custom environment {wheel.name} cannot be installed: {said}")


def _check_names(archive: Path, package: Package) -> None:
    """Refuse what would take the place of Python's own modules, or of Gaitway's."""
    names = top_level_names(package.root)
    taken = sorted(names & (sys.stdlib_module_names | _OURS))
    if taken:
        raise CustomEnvironmentError(
            f"the custom environment {archive.name} has modules named {', '.join(taken)}, which would hide those of "
            "Python or Gaitway: rename them, or move them into a package"
        )
    hidden = sorted(name for name in names if PathFinder.find_spec(name) is not None)
    if hidden:
        logger.warning("the custom environment hides modules of the image: %s", ", ".join(hidden))


def _check_dependencies(archive: Path, package: Package) -> None:
    """Refuse a package that needs what nobody will install."""
    if package.missing:
        raise CustomEnvironmentError(
            f"the custom environment {archive.name} depends on what is not in the image: {', '.join(package.missing)}. "
            "Nothing is fetched when a run starts: deploy with an image that holds it (containerImageUri), or put its "
            "code into the archive and drop the dependency"
        )
