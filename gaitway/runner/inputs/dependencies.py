"""Compare what a custom environment depends on with what the image has, and install what is missing if asked to."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.runner.inputs.declared import REQUIREMENTS, Declared, read_declared
from gaitway.runner.inputs.image import Image, distribution_of, is_brought, module_of
from gaitway.runner.inputs.pip_install import install_missing
from gaitway.runner.inputs.projects import ProjectRoot

logger = logging.getLogger(__name__)

FIELD = "installDependencies"


@dataclass(frozen=True)
class Missing:
    """A dependency that the image lacks."""

    requirement: Requirement

    def __str__(self) -> str:
        """Name it, and the distribution where it is called by its module."""
        other = distribution_of(self.requirement.name)
        return f"{self.requirement}" + (f" (its distribution is called {other})" if other else "")

    @property
    def installable(self) -> Requirement:
        """What to ask an index for."""
        other = distribution_of(self.requirement.name)
        if other is None:
            return self.requirement
        asked = Requirement(str(self.requirement))
        asked.name = other
        return asked


def provide(
    projects: Sequence[ProjectRoot],
    environment: CustomEnvironment,
    task: str,
    *,
    target: Path,
    install: bool,
    pause: Callable[[float], None],
    image: Image | None = None,
) -> CustomEnvironment:
    """Check that everything is there that a package depends on, or install what is not.

    Of several projects in a package, those count that register the task, and those that they depend on. What another
    one lacks is a warning.

    Args:
        projects: All projects of the package.
        environment: What is imported of them.
        task: The requested task.
        target: Directory to install into; nothing else is in it.
        install: Whether to install what is missing.
        pause: Waits a number of seconds; may raise to end the installation.
        image: What the simulator's Python has; None to look.

    Returns:
        The environment, with what was installed, and with warnings.

    Raises:
        CustomEnvironmentError: Names what is missing or cannot be installed, and what to do.
        GaitwayError: The package index or the disk is the cause.
    """
    image = image or Image.here()
    own = Image([str(project.import_root) for project in environment.projects])
    declared = {
        project.name: read_declared(_places(project, environment.path))
        for project in projects
        if any(project.name == chosen.name for chosen in environment.projects)
    }
    names = {name for one in declared.values() for name in one.names}
    needed = _needed([project for project in projects if project.name in declared], declared, task)
    warnings: list[str] = []
    missing: list[Missing] = []
    for name, one in declared.items():
        places = [project.import_root for project in environment.projects if project.name == name]
        lacking = list(_missing(one.requirements, names, image, own, warnings))
        for pinned in _missing(one.pinned, names, image, own, []):
            if install or _imports(places, module_of(pinned.installable.name)):
                lacking.append(pinned)
            else:
                warnings.append(f"{REQUIREMENTS} lists {pinned}, which the image lacks and no module of {name} imports")
        if name in needed:
            missing += lacking
            warnings += one.notes
        elif lacking:
            warnings.append(f"{name} depends on what is not in the image: {', '.join(map(str, lacking))}")
    missing = list({str(one): one for one in missing}.values())
    for warning in warnings:
        logger.warning("the custom environment: %s", warning)
    environment = environment.model_copy(update={"warnings": (*environment.warnings, *warnings)})
    if not missing:
        return environment
    if not install:
        raise _refused(missing, [note for name in needed for note in declared[name].notes])
    versions = install_missing([one.installable for one in missing], image, target, pause)
    return environment.model_copy(update={"dependencies": target, "installed": versions})


def _places(project: ProjectRoot, top: Path) -> list[Path]:
    """List where a project's files may be: in its own folder, or further up in the archive."""
    folder = project.folder.resolve()
    return [folder, *(place for place in folder.parents if place != top and place.is_relative_to(top))]


def _needed(projects: Sequence[ProjectRoot], declared: Mapping[str, Declared], task: str) -> list[str]:
    """Name the projects that the task most likely needs."""
    first = min((project.rank for project in projects), default=0)
    found = [project for project in projects if task and _registers(project, task)] or [
        project for project in projects if project.rank == first
    ]
    needed = [project.name for project in found]
    for name in needed:
        required = {canonicalize_name(one.name) for one in declared[name].requirements}
        needed += [other for other, one in declared.items() if other not in needed and one.names & required]
    return needed


def _registers(project: ProjectRoot, task: str) -> bool:
    name = task.rpartition(":")[2]
    return any(f'"{name}"' in text or f"'{name}'" in text for text in _texts([project.import_root], project.names))


def _texts(places: Iterable[Path], names: Iterable[str] = ("",)) -> Iterator[str]:
    """Read the modules below some folders."""
    for place in places:
        for name in names:
            module = place / f"{name}.py"
            for path in [module] if name and module.is_file() else (place / name).rglob("*.py"):
                with suppress(OSError):
                    yield path.read_text(encoding="utf-8", errors="replace")


def _missing(
    requirements: Iterable[Requirement], names: Container[str], image: Image, own: Image, warnings: list[str]
) -> Iterator[Missing]:
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        if is_brought(name) or name in names:
            continue
        distribution = image.distributions.get(name)
        if distribution is None:
            modules = (module_of(requirement.name), requirement.name, requirement.name.replace("-", "_").lower())
            if not any(place.has_module(module) for place in (image, own) for module in modules):
                yield Missing(requirement)
            continue
        if not _fits(requirement, distribution.version):
            # Images pin versions that work together; starting the simulator is a better test than comparing versions.
            warnings.append(f"it requires {requirement}, the image has {distribution.version}")
        extras = [Requirement(text) for text in distribution.requires or ()] if requirement.extras else []
        yield from _missing(_of_extras(extras, requirement.extras), names, image, own, warnings)


def _of_extras(requires: Iterable[Requirement], extras: Iterable[str]) -> Iterator[Requirement]:
    """Choose what a distribution requires for its extras only, without the condition."""
    for requirement in requires:
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue
        if any(marker.evaluate({"extra": extra}) for extra in extras):
            requirement.marker = None
            yield requirement


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _imports(places: Iterable[Path], module: str) -> bool:
    """Return whether a package's own modules import another one."""
    pattern = re.compile(rf"^\s*(?:import|from)\s+{re.escape(module)}\b", re.MULTILINE)
    return any(pattern.search(text) for text in _texts(places))


def _refused(missing: Sequence[Missing], notes: Sequence[str]) -> CustomEnvironmentError:
    python = ".".join(map(str, sys.version_info[:2]))
    unread = f" Besides: {'; '.join(notes)}." if notes else ""
    return CustomEnvironmentError(
        f"the custom environment depends on what is not in the image: {', '.join(map(str, missing))}. Give "
        f"trainingConfig.{FIELD}: true to install it from the package index for this run (wheels for Python {python}), "
        "deploy with an image that holds it (containerImageUri), or put its code into the archive and drop the "
        f"dependency.{unread}"
    )
