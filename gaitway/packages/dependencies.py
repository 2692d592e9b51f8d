"""Compare what a custom environment depends on with what an image has."""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.packages.declared import REQUIREMENTS, Declared, Dependency, read_declared
from gaitway.packages.image import Holdings, Image, distribution_of, is_brought, module_of
from gaitway.packages.projects import ProjectRoot

FIELD = "installDependencies"
_PYTHONS_OWN = frozenset(map(canonicalize_name, sys.stdlib_module_names))
"""Names like typing and dataclasses are also those of packages for older Pythons."""


@dataclass(frozen=True)
class Missing:
    """A dependency that the image lacks."""

    requirement: Requirement
    where: str
    """The file that declares it, by its path in the archive."""

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


@dataclass(frozen=True)
class Findings:
    """What the projects of a package depend on, compared with an image."""

    missing: tuple[Missing, ...]
    """What the image lacks of what the task needs."""
    warnings: tuple[str, ...]
    unread: tuple[str, ...]
    """Declarations that cannot be read without running code, in words: more may be missing."""


def find_missing(
    projects: Sequence[ProjectRoot], environment: CustomEnvironment, task: str, image: Holdings, *, install: bool
) -> Findings:
    """Compare what a package depends on with what an image has.

    Of several projects in a package, those count that register the task, and those that they depend on. What another
    one lacks is a warning.

    Args:
        projects: All projects of the package.
        environment: What is imported of them.
        task: The requested task.
        image: What the simulator's Python has.
        install: Whether what is missing will be installed: then also what is pinned, and no module imports.

    Raises:
        CustomEnvironmentError: A declaration is of the wrong type.
    """
    own = Image([str(project.import_root) for project in environment.projects])
    chosen = {project.name for project in environment.projects}
    projects = [project for project in projects if project.name in chosen]
    declared = {
        project.name: read_declared(_places(project, environment.path), environment.path) for project in projects
    }
    names = {name for one in declared.values() for name in one.names}
    needed = _needed(projects, declared, task)
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
    return Findings(
        missing=tuple({str(one): one for one in missing}.values()),
        warnings=tuple(warnings),
        unread=tuple(note for name in needed for note in declared[name].notes),
    )


def refusal(findings: Findings, image: Holdings) -> CustomEnvironmentError:
    """Name what is missing, where it is declared, and what to do."""
    by_place: dict[str, list[str]] = {}
    for one in findings.missing:
        by_place.setdefault(one.where, []).append(str(one))
    listed = "; ".join(f"{', '.join(named)}, declared in {where}" for where, named in by_place.items())
    unread = f" Besides: {'; '.join(findings.unread)}." if findings.unread else ""
    return CustomEnvironmentError(
        f"the custom environment depends on what is not in {image.name}: {listed}. Give trainingConfig.{FIELD}: true "
        f"to install it from the package index for this run (wheels for Python {image.python}), deploy with an image "
        f"that holds it (containerImageUri), or put its code into the archive and drop the dependency.{unread}"
    )


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
        required = {canonicalize_name(one.requirement.name) for one in declared[name].requirements}
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
    dependencies: Iterable[Dependency], names: Container[str], image: Holdings, own: Image, warnings: list[str]
) -> Iterator[Missing]:
    for dependency in dependencies:
        requirement = dependency.requirement
        if requirement.marker is not None and not _applies(requirement.marker, image):
            continue
        name = canonicalize_name(requirement.name)
        if is_brought(name) or name in names or name in _PYTHONS_OWN:
            continue
        version = image.version_of(name)
        if version is None:
            modules = (module_of(requirement.name), requirement.name, requirement.name.replace("-", "_").lower())
            if not any(place.has_module(module) for place in (image, own) for module in modules):
                yield Missing(requirement, dependency.where)
            continue
        if not _fits(requirement, version):
            # Images pin versions that work together; starting the simulator is a better test than comparing versions.
            warnings.append(f"it requires {requirement}, the image has {version}")
        extras = [Requirement(text) for text in image.requires_of(name)] if requirement.extras else []
        further = (Dependency(one, dependency.where) for one in _of_extras(extras, requirement.extras, image))
        yield from _missing(further, names, image, own, warnings)


def _of_extras(requires: Iterable[Requirement], extras: Iterable[str], image: Holdings) -> Iterator[Requirement]:
    """Choose what a distribution requires for its extras only, without the condition."""
    for requirement in requires:
        marker = requirement.marker
        if marker is None or _applies(marker, image):
            continue
        if any(_applies(marker, image, extra) for extra in extras):
            requirement.marker = None
            yield requirement


def _applies(marker: Marker, image: Holdings, extra: str = "") -> bool:
    try:
        return marker.evaluate({**image.markers, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, ValueError):
        # A condition that pip could not evaluate either is no certain one.
        return False


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _imports(places: Iterable[Path], module: str) -> bool:
    """Return whether a package's own modules import another one."""
    pattern = re.compile(rf"^\s*(?:import|from)\s+{re.escape(module)}\b", re.MULTILINE)
    return any(pattern.search(text) for text in _texts(places))
