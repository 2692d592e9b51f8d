"""Import the packages of a custom environment until the task is registered, and say what was imported if it is not."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import CustomEnvironment, CustomProject
from gaitway.simulators.common.optional import warn

logger = logging.getLogger(__name__)

_NEAREST = 10
"""Isaac Lab alone registers about two hundred tasks."""
_MAX_NAMES = 20
"""An error lists at most this many tasks of a module."""


@dataclass
class Imported:
    """What became of the packages of a custom environment."""

    registered: dict[str, list[str]] = field(default_factory=dict)
    """By imported module, the tasks that it registered."""
    failed: dict[str, str] = field(default_factory=dict)
    """By module that could not be imported, why."""
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{name} was imported and registered {_listed(tasks)}" for name, tasks in self.registered.items()]
        parts += [f"{name} could not be imported ({reason})" for name, reason in self.failed.items()]
        parts += [f"passed over: {words}" for words in self.passed_over]
        return "; ".join(parts)


def make_importable(custom: CustomEnvironment | None) -> None:
    """Let Python find the packages of a custom environment, behind the image's own.

    Only what a package replaces comes before the image's. A simulator calls this before it imports anything that a
    package may replace.

    Raises:
        RequestError: What a package replaces is in use already.
    """
    if custom is None:
        return
    for project in custom.projects:
        used = [name for name in project.replaces if name in sys.modules]
        if used:
            raise RequestError(
                f"the custom environment's {project.name} replaces {', '.join(used)}, which the simulator itself uses "
                "and has imported: deploy with an image that has the other version (containerImageUri)"
            )
    sys.meta_path.insert(0, _Places(custom.projects))
    # What was installed for the run comes last: it holds nothing that the image has, and hides nothing.
    places = [*(project.import_root for project in custom.projects), *filter(None, [custom.dependencies])]
    sys.path += [place for place in dict.fromkeys(map(str, places)) if place not in sys.path]


def import_custom_environment(custom: CustomEnvironment | None, task: str) -> Imported:
    """Import the packages of a custom environment until a task is registered.

    A simulator calls this after the simulation app has started, because the modules of Isaac Lab's tasks need it, and
    before it looks up the task. A module that cannot be imported is a warning if the task is found without it.

    Args:
        custom: The packages; `make_importable` has been called for them.
        task: The name of the task, without Gymnasium's `module:` in front of it.

    Raises:
        Exception: Whatever the first module raised that could not be imported, if no other one registered a task. It
            keeps its traceback, from which the runner sees that the package is at fault.
    """
    if custom is None:
        return Imported()
    imported = Imported(passed_over=custom.passed_over)
    # A package may also change a task that is there already: then its own modules are imported, and none in them.
    was_there = task in _registry()
    first_error: tuple[str, BaseException] | None = None
    for module in _modules(custom, task, within=not was_there):
        if any(module.startswith(f"{failed}.") for failed in imported.failed):
            continue
        before = set(_registry())
        try:
            importlib.import_module(module)
        # A program calls sys.exit when it is imported.
        except (Exception, SystemExit) as error:
            first_error = first_error or (module, error)
            imported.failed[module] = _in_words(error, custom.path)
            logger.warning("%s of the custom environment: %s", module, "".join(traceback.format_exception(error)))
        else:
            imported.registered[module] = sorted(set(_registry()) - before)
        if not was_there and task in _registry():
            break
    works = imported.registered if was_there else any(imported.registered.values())
    if first_error is not None and not works:
        module, failure = first_error
        if isinstance(failure, SystemExit):
            raise ImportError(f"{module} ended the process when it was imported: it is a program") from failure
        raise failure
    for module, reason in imported.failed.items():
        warn(f"{module} of the custom environment could not be imported ({reason}); the task was found without it")
    return imported


def unknown_task(task: str, known: Iterable[str], simulator: str, imported: Imported | None = None) -> RequestError:
    """Return the error for a task that is not registered; it names the nearest registered ones.

    Args:
        task: The requested task.
        known: The tasks that are registered.
        simulator: The simulator's name in the message.
        imported: What became of the custom environment.
    """
    nearest = difflib.get_close_matches(task, sorted(known), n=_NEAREST, cutoff=0)
    told = str(imported or "")
    advice = (
        f"Of the custom environment, {told}"
        if told
        else "A task of your own needs the package that registers it (customEnvironmentPath)"
    )
    return RequestError(
        f"trainingConfig.task is {task!r}, which {simulator} does not have, nearest: {', '.join(nearest)}. {advice}"
    )


class _Places:
    """Finds top-level modules that are not where Python looks first."""

    def __init__(self, projects: Sequence[CustomProject]) -> None:
        self._folders = {name: folder for project in projects for name, folder in project.folders.items()}
        self._roots = {name: project.import_root for project in projects for name in project.replaces}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Find a module, as Python's import system asks it of a finder."""
        del path, target
        folder = self._folders.get(name)
        if folder is None:
            root = self._roots.get(name)
            return PathFinder.find_spec(name, [str(root)]) if root else None
        start = folder / "__init__.py"
        if start.is_file():
            return spec_from_file_location(name, start, submodule_search_locations=[str(folder)])
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec


def _modules(custom: CustomEnvironment, task: str, *, within: bool) -> Iterator[str]:
    """List what to import, in this order: the projects' own modules, then modules in them that register something."""
    tops = list(dict.fromkeys(module for project in custom.projects for module in project.modules))
    yield from tops
    if not within:
        return
    texts = dict(_registering(custom))
    for module in sorted(texts, key=lambda module: task not in texts[module]):
        if module not in tops and module not in sys.modules:
            yield module


def _registering(custom: CustomEnvironment) -> Iterator[tuple[str, str]]:
    """Yield the modules inside packages that call `register`, with their text: no `__init__.py` may import them."""
    for project in custom.projects:
        for top in dict.fromkeys(module.partition(".")[0] for module in project.modules):
            folder = project.folders.get(top, project.import_root / top)
            for file in sorted(folder.rglob("*.py")):
                parts = file.relative_to(folder).with_suffix("").parts
                parts = parts[:-1] if parts[-1] == "__init__" else parts
                if not all(part.isidentifier() for part in parts) or "tests" in parts:
                    continue
                text = file.read_text(encoding="utf-8", errors="replace")
                if "register(" in text:
                    yield ".".join((top, *parts)), text


def _registry() -> Mapping[str, object]:
    # What has registered a task has imported Gymnasium.
    gymnasium = sys.modules.get("gymnasium")
    registry: Mapping[str, object] = gymnasium.registry if gymnasium is not None else {}
    return registry


def _in_words(error: BaseException, path: Path) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(path)]
    place = f", {Path(frames[-1].filename).relative_to(path)}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def _listed(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - _MAX_NAMES} more" if len(tasks) > _MAX_NAMES else ""
    return ", ".join(tasks[:_MAX_NAMES]) + more if tasks else "no task"
