"""Put packages with custom tasks where the simulator can import them, and return what to import.

A wheel is installed by pip. Any other archive is used in place, like an editable installation: Isaac Lab's extensions
read files beside their packages (`config/extension.toml`), and no package code runs here. What a package depends on
is in the image, or is installed for this run if the request says so: dependencies.py.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.model import Model
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.packages.choice import choose
from gaitway.packages.image import Image
from gaitway.packages.layout import lay_out
from gaitway.runner.inputs.dependencies import provide
from gaitway.runner.inputs.wheels import install_wheel

logger = logging.getLogger(__name__)

DIRECTORY = "custom_environment"
"""In the run's directory, which every node and every attempt can read."""
DEPENDENCIES = "dependencies"
"""Beside it."""
_NOTE = ".installed.json"


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
    projects = lay_out(archives, target, install_wheel)
    image = Image.here()
    environment = provide(
        projects,
        choose(projects, target, image),
        task,
        target=directory / DEPENDENCIES,
        install=with_dependencies,
        pause=pause,
        image=image,
    )
    (target / _NOTE).write_text(_Installed(sha256=sha256, environment=environment).model_dump_json())
    logger.info("the custom environment is there: %s", "; ".join(_told(environment)))
    return environment


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
