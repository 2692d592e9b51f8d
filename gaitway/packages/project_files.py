"""What a project's own files say of its packages: pyproject.toml, setup.cfg and setup.py, and a wheel's metadata."""

from __future__ import annotations

import codecs
import configparser
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from gaitway.contracts.documents import shorten
from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.setup_py import FindPackages, SetupCall, read_setup

TASKS = "gaitway.tasks"
"""Entry-point group in which a package names the modules that register its tasks."""
_TASK_GROUPS = (TASKS, "isaaclab.tasks")
"""Isaac Lab 3 has a group for the same; its project template fills it."""
REPLACES = "gaitway.replaces"
"""Entry-point group in which a package names the libraries of the image that it replaces."""

FILES = ("pyproject.toml", "setup.cfg", "setup.py", "config/extension.toml", "extension.toml")
"""A folder with one of them is a project."""


@dataclass(frozen=True)
class Declared:
    """What a project says of itself; everything is optional."""

    name: str | None = None
    tasks: tuple[str, ...] = ()
    """Modules that register tasks."""
    replaces: frozenset[str] = frozenset()
    """Top-level modules that take the place of the image's own."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """By package, the folder that it is in, relative to the project; by "", the folder that all others are in."""
    packages: tuple[str, ...] = ()
    """Top-level packages and modules, if they are listed."""


class _ProjectTable(BaseModel):
    """packaging.python.org/en/latest/specifications/pyproject-toml/."""

    name: str | None = None
    dependencies: list[str] = Field(default_factory=list)
    entry_points: Annotated[dict[str, dict[str, str]], Field(alias="entry-points", default_factory=dict)]


def metadata_files(folder: Path) -> tuple[Path, ...]:
    """List the files of a folder that make it a project."""
    return tuple(folder / name for name in FILES if (folder / name).is_file())


def declared_by_project(folder: Path) -> Declared:
    """Read a project's files; what stands in pyproject.toml counts before setup.cfg and setup.py.

    Raises:
        CustomEnvironmentError: A file cannot be read.
    """
    parts = [
        _pyproject(_toml(folder / "pyproject.toml")),
        _setup_cfg(_ini(folder / "setup.cfg")),
        _setup_py(read_setup(folder / "setup.py") if (folder / "setup.py").is_file() else SetupCall()),
    ]
    return Declared(
        name=next((part.name for part in parts if part.name), None),
        tasks=next((part.tasks for part in parts if part.tasks), ()),
        replaces=frozenset().union(*(part.replaces for part in parts)),
        folders=next((part.folders for part in parts if part.folders), {}),
        packages=next((part.packages for part in parts if part.packages), ()),
    )


def declared_by_wheels(installed: Iterable[Distribution]) -> Declared:
    """Read what installed wheels say: usually one."""
    groups: dict[str, dict[str, str]] = {}
    names = []
    for distribution in installed:
        names.append(distribution.metadata["Name"])
        for entry in distribution.entry_points:
            groups.setdefault(entry.group, {})[entry.name] = entry.value
    return Declared(names[0] if len(names) == 1 else None, *_entry_points(groups))


def _entry_points(groups: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, ...], frozenset[str]]:
    def modules(group: str) -> Iterator[str]:
        return (value.partition("[")[0].partition(":")[0].strip() for value in groups.get(group, {}).values())

    tasks = tuple(dict.fromkeys(module for group in _TASK_GROUPS for module in modules(group)))
    return tasks, frozenset(module.partition(".")[0] for module in modules(REPLACES))


def read_text(file: Path, errors: str = "strict") -> str:
    """Read a project's file: editors on Windows begin it with a byte order mark, and PowerShell writes UTF-16.

    Raises:
        ValueError: It is in another encoding, and `errors` is "strict".
    """
    data = file.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding, errors).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


def _unreadable(file: Path, reason: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(
        f"the custom environment has a {file.parent.name}/{file.name} that cannot be read: {reason}"
    )


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        document = tomllib.loads(read_text(file))
        _ProjectTable.model_validate(document.get("project", {}))
    except ValidationError as error:
        (finding, *_) = error.errors()
        place = ".".join(("project", *map(str, finding["loc"])))
        allowed = {"list_type": "a list of texts", "string_type": "a text"}.get(finding["type"], "a table")
        raise _unreadable(file, f"{place} is {shorten(finding['input'])}, allowed: {allowed}") from None
    except ValueError as error:
        raise _unreadable(file, str(error)) from error
    return document


def _ini(file: Path) -> dict[str, dict[str, str]]:
    if not file.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_text(file))
    except (configparser.Error, ValueError) as error:
        raise _unreadable(file, " ".join(str(error).split())) from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _table(document: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _pyproject(document: dict[str, Any]) -> Declared:
    project, tool = _table(document, "project"), _table(document, "tool")
    poetry, setuptools = _table(tool, "poetry"), _table(tool, "setuptools")
    groups = {
        group: {name: value for name, value in _table(entries).items() if isinstance(value, str)}
        for group, entries in (_table(poetry, "plugins") | _table(project, "entry-points")).items()
    }
    name = project.get("name") or poetry.get("name")
    listed = setuptools.get("packages")
    modules = [*_texts(listed), *_texts(setuptools.get("py-modules"))]
    return Declared(
        name if isinstance(name, str) else None,
        *_entry_points(groups),
        folders=_folders_of_pyproject(tool),
        packages=_top_level(modules),
    )


def _folders_of_pyproject(tool: dict[str, Any]) -> dict[str, str]:
    """Where packages are, as each build backend says it."""
    # setuptools.pypa.io/en/latest/userguide/pyproject_config.html
    setuptools = _table(tool, "setuptools")
    mapping = {key: value for key, value in _table(setuptools, "package-dir").items() if isinstance(value, str)}
    where = _texts(_table(setuptools, "packages", "find").get("where"))
    if mapping or where:
        return mapping or {"": where[0]}
    # python-poetry.org/docs/pyproject/#packages
    packages = _table(tool, "poetry").get("packages")
    for package in packages if isinstance(packages, list) else []:
        place = _table(package).get("from")
        if isinstance(place, str):
            return {"": place}
    # hatch.pypa.io/latest/config/build/#packages, scikit-build-core.readthedocs.io/en/latest/configuration/
    hatch = _texts(_table(tool, "hatch", "build", "targets", "wheel").get("packages"))
    hatch += _texts(_table(tool, "scikit-build", "wheel").get("packages"))
    if hatch:
        return {Path(package).name: package for package in hatch}
    # docs.astral.sh/uv/concepts/build-backend/, backend.pdm-project.org/build_config/, www.maturin.rs/config
    for place in (
        _table(tool, "uv", "build-backend").get("module-root"),
        _table(tool, "pdm", "build").get("package-dir"),
        _table(tool, "maturin").get("python-source"),
    ):
        if isinstance(place, str) and place:
            return {"": place}
    return {}


def _setup_cfg(sections: dict[str, dict[str, str]]) -> Declared:
    options = sections.get("options", {})
    groups = {group: _assignments(text) for group, text in sections.get("options.entry_points", {}).items()}
    folders = _assignments(options.get("package_dir", ""))
    where = sections.get("options.packages.find", {}).get("where", "").split()
    packages = options.get("packages", "")
    listed = [] if packages.strip().startswith("find") else packages.replace(",", "\n").split()
    return Declared(
        sections.get("metadata", {}).get("name"),
        *_entry_points(groups),
        folders=folders or ({"": where[0]} if where else {}),
        packages=_top_level([*listed, *options.get("py_modules", "").replace(",", "\n").split()]),
    )


def _setup_py(call: SetupCall) -> Declared:
    name, folders, packages = (call.arguments.get(key) for key in ("name", "package_dir", "packages"))
    mapping = {key: value for key, value in _table(folders).items() if isinstance(value, str)}
    if not mapping and isinstance(packages, FindPackages) and packages.where not in ("", "."):
        mapping = {"": packages.where}
    return Declared(
        name if isinstance(name, str) else None,
        *_entry_points(_setup_groups(call.arguments.get("entry_points"))),
        folders=mapping,
        packages=_top_level([*call.texts("packages"), *call.texts("py_modules")]),
    )


def _setup_groups(value: object) -> dict[str, dict[str, str]]:
    """Entry points of setup.py: lists of assignments by group, or the same as text with a section for each group."""
    if isinstance(value, str):
        parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
        try:
            parser.read_string(value)
        except configparser.Error:
            return {}
        return {section: dict(parser[section]) for section in parser.sections()}
    return {group: _assignments("\n".join(_texts(entries))) for group, entries in _table(value).items()}


def _assignments(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.replace(",", "\n").splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _top_level(packages: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(package.partition(".")[0] for package in packages if package))
