"""Which modules of the projects are imported, and which are passed over: the image's own libraries stay in use."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.simulation import CustomEnvironment, CustomProject
from gaitway.packages.image import Holdings
from gaitway.packages.project_files import REPLACES, TASKS
from gaitway.packages.projects import ProjectRoot

logger = logging.getLogger(__name__)

_FIXED = sys.stdlib_module_names | {"container", "gaitway"}
"""What no package replaces, even if it says so."""


def choose(projects: Sequence[ProjectRoot], path: Path, image: Holdings) -> CustomEnvironment:
    """Choose what to import of the projects.

    A module that the image has too is the image's, unless the project says otherwise: with an entry point of group
    `gaitway.replaces`, or because it names the module as one that registers tasks.

    Args:
        projects: In the order of the archives.
        path: The directory that everything is in.
        image: What the image has.

    Raises:
        CustomEnvironmentError: Two projects are the same, or nothing is left to import.
    """
    ordered = sorted((project for project in projects if project.names), key=lambda project: project.rank)
    passed_over: list[str] = []
    chosen: list[CustomProject] = []
    owners: dict[str, ProjectRoot] = {}
    for project in ordered:
        said = {name.partition(".")[0] for name in project.tasks} | project.replaces
        taken = {name for name in project.names if _is_taken(name, said, image)}
        repeated = {name for name in project.names - taken if name in owners}
        if repeated and repeated >= project.names - taken:
            _refuse_twins(project, [owners[name] for name in repeated])
        passed_over += [f"{name} of {project.name}, {_why(name)}" for name in sorted(taken)]
        passed_over += [f"{name} of {project.name}, which {owners[name].name} has too" for name in sorted(repeated)]
        own = project.names - taken - repeated
        owners |= dict.fromkeys(own, project)
        modules = [name for name in (project.tasks or project.modules) if name.partition(".")[0] in own]
        if modules:
            chosen.append(
                CustomProject(
                    name=project.name,
                    import_root=project.import_root,
                    modules=tuple(modules),
                    folders={name: place for name, place in project.folders.items() if name in own},
                    replaces=tuple(sorted(name for name in said & own if image.has_module(name))),
                )
            )
    for words in passed_over:
        logger.warning("the custom environment: passed over %s", words)
    if not chosen:
        raise _nothing_left(passed_over, [name for project in ordered for name in project.names])
    return CustomEnvironment(path=path.resolve(), projects=tuple(chosen), passed_over=tuple(passed_over))


def _is_taken(name: str, said: Iterable[str], image: Holdings) -> bool:
    return name in _FIXED or (name not in said and image.has_module(name))


def _why(name: str) -> str:
    if name in sys.stdlib_module_names:
        return "whose name is Python's own"
    return "whose name is Gaitway's" if name in _FIXED else "which the image has"


def _refuse_twins(project: ProjectRoot, owners: Sequence[ProjectRoot]) -> None:
    twins = [owner for owner in owners if owner.rank == project.rank]
    if twins:
        names = ", ".join(sorted(project.names & twins[0].names))
        raise CustomEnvironmentError(
            f"the custom environment holds {names} in several folders ({twins[0].name}, {project.name}): leave out all "
            "but one of them"
        )


def _nothing_left(passed_over: Sequence[str], names: Sequence[str]) -> CustomEnvironmentError:
    return CustomEnvironmentError(
        f"the custom environment holds nothing that can be imported: {'; '.join(passed_over)}. A package never hides "
        f"the image's own libraries unless it says so: rename it, or name it in its pyproject.toml, as in "
        f"[project.entry-points.'{TASKS}'] mine = '{names[0]}' if it registers tasks, or else in the group '{REPLACES}'"
    )
