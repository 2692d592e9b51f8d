"""Install what a custom environment depends on and the image lacks, or say that it is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from gaitway.contracts.simulation import CustomEnvironment
from gaitway.packages.dependencies import find_missing, refusal
from gaitway.packages.image import Image
from gaitway.packages.projects import ProjectRoot
from gaitway.runner.inputs.pip_install import install_missing

logger = logging.getLogger(__name__)


def provide(
    projects: Sequence[ProjectRoot],
    environment: CustomEnvironment,
    task: str,
    *,
    target: Path,
    install: bool,
    pause: Callable[[float], None],
    image: Image,
) -> CustomEnvironment:
    """Check that everything is there that a package depends on, or install what is not.

    Args:
        projects: All projects of the package.
        environment: What is imported of them.
        task: The requested task.
        target: Directory to install into; nothing else is in it.
        install: Whether to install what is missing.
        pause: Waits a number of seconds; may raise to end the installation.
        image: What the simulator's Python has.

    Returns:
        The environment, with what was installed, and with warnings.

    Raises:
        CustomEnvironmentError: Names what is missing or cannot be installed, and what to do.
        GaitwayError: The package index or the disk is the cause.
    """
    found = find_missing(projects, environment, task, image, install=install)
    for warning in found.warnings:
        logger.warning("the custom environment: %s", warning)
    environment = environment.model_copy(update={"warnings": (*environment.warnings, *found.warnings)})
    if not found.missing:
        return environment
    if not install:
        raise refusal(found, image)
    versions = install_missing([one.installable for one in found.missing], image, target, pause)
    return environment.model_copy(update={"dependencies": target, "installed": versions})
