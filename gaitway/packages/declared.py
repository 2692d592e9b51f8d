"""What a project says that it depends on, wherever it says so. No code of the project runs here.

Each reader below reads one kind of file. Their results are combined: a project may declare its dependencies in
`setup.py`, and pin others in `pyproject.toml`.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.project_files import read_text
from gaitway.packages.setup_py import read_setup

REQUIREMENTS = "requirements.txt"
_REQUIRED = "install_requires"
"""What setuptools calls dependencies, in setup.cfg and setup.py."""
_METADATA = ("*.dist-info/METADATA", "PKG-INFO")
"""Of an installed wheel and of an sdist: packaging.python.org/en/latest/specifications/core-metadata/."""
_COMMENT = re.compile(r"(^|\s)#.*$")
"""pip.pypa.io/en/stable/reference/requirements-file-format/#comments."""
_HASH = re.compile(r"\s--hash[ =]\S+")
_INCLUDES = re.compile(r"(?:-r|--requirement)[ =]?\s*(?P<file>\S+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[ =]?\s*(?P<what>\S+)")
_LOCAL = re.compile(r"[./~]|file:")
_EGG = re.compile(r"#(?:.*&)?egg=(?P<name>[A-Za-z0-9._-]+)")
_URL_NAME = re.compile(r"/(?P<name>[A-Za-z0-9._-]+?)(?:\.git)?(?:@[^/]*)?(?:#.*)?$")


@dataclass(frozen=True)
class Dependency:
    """A line of a declaration."""

    requirement: Requirement
    where: str
    """The file that has it, by its path in the archive."""


@dataclass
class Declared:
    """What a project declares."""

    names: set[str] = field(default_factory=set)
    """Of the project itself, in the form in which names are compared."""
    requirements: list[Dependency] = field(default_factory=list)
    pinned: list[Dependency] = field(default_factory=list)
    """From a `requirements.txt` beside a declaration elsewhere: often what somebody had installed, tools included."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, in words."""


def read_declared(places: Iterable[Path], top: Path) -> Declared:
    """Read what a project depends on.

    Args:
        places: Where its files are: `pyproject.toml` and the like, or installed `*.dist-info` directories.
        top: Directory with a folder for each archive, which the places are in.

    Raises:
        CustomEnvironmentError: A declaration is of the wrong type.
    """
    read = [_Project(place, top) for place in places]
    for project in read:
        project.read()
    declared = Declared()
    only_files = not any(project.declares for project in read)
    for project in read:
        declared.names |= {canonicalize_name(name) for name in project.names if name}
        _add(declared.requirements, project.requirements)
        _add(declared.requirements if only_files else declared.pinned, project.listed)
        declared.notes += project.notes
    return declared


def _add(to: list[Dependency], more: Iterable[Dependency]) -> None:
    known = {str(one.requirement) for one in to}
    to += [one for one in more if str(one.requirement) not in known]


class _Project:
    """Reads the files of one folder."""

    def __init__(self, root: Path, top: Path) -> None:
        self.names: set[str] = set()
        self.requirements: list[Dependency] = []
        self.listed: list[Dependency] = []
        """By requirements.txt."""
        self.notes: list[str] = []
        self._root = root
        # The folder that was made for the archive: nothing beside it is read.
        self._archive = Path(top.resolve(), *root.resolve().relative_to(top.resolve()).parts[:1])
        self._shown = PurePosixPath(*root.relative_to(top.resolve()).parts[1:])
        self.declares = False
        """Whether one of the files says what the project depends on, even if that is nothing."""
        self._read_files: set[Path] = set()

    def read(self) -> None:
        """Read every file that there is."""
        self._read_metadata()
        self._read_pyproject()
        self._read_setup_cfg()
        self._read_setup_py()
        for name in ("config/extension.toml", "extension.toml"):
            self._read_extension(name)
        file = self._root / REQUIREMENTS
        if file.resolve() not in self._read_files:
            self.listed += self._requirements_of(file)

    def _declare(self, lines: Iterable[str], where: str) -> None:
        self.declares = True
        self.requirements += self._parsed(lines, where)

    def _read_metadata(self) -> None:
        for pattern in _METADATA:
            for path in sorted(self._root.glob(pattern)):
                headers = HeaderParser().parsestr(self._text(path) or "")
                self.names.add(headers["Name"] or "")
                required = headers.get_all("Requires-Dist") or []
                # Older sdists have none of them here, whatever they depend on.
                if required or path.name != "PKG-INFO":
                    self._declare(required, str(path.relative_to(self._root)))

    def _read_pyproject(self) -> None:
        tables = self._toml("pyproject.toml")
        project, tool = _table(tables, "project"), _table(tables, "tool")
        self.names.add(str(project.get("name") or ""))
        listed = project.get("dependencies")
        if isinstance(listed, list):
            self._declare(map(str, listed), "pyproject.toml")
        elif listed is not None:
            raise CustomEnvironmentError(
                f"the custom environment has a pyproject.toml that cannot be read: project.dependencies is {listed!r}, "
                "allowed: a list of texts"
            )
        dynamic = project.get("dynamic")
        if isinstance(dynamic, list) and "dependencies" in dynamic:
            files = _files(_table(tool, "setuptools", "dynamic", "dependencies").get("file"))
            files += _files(_table(tool, "hatch", "metadata", "hooks", "requirements_txt").get("files"))
            for name in files:
                self._declare_file(name)
            if not files and not any((self._root / name).is_file() for name in ("setup.py", "setup.cfg")):
                self.notes.append(
                    "pyproject.toml leaves its dependencies to the build (dynamic), so they are not known"
                )
        poetry = _table(tool, "poetry")
        self.names.add(str(poetry.get("name") or ""))
        if "dependencies" in poetry:
            self._declare(_poetry(_table(poetry, "dependencies")), "pyproject.toml")

    def _read_setup_cfg(self) -> None:
        text = self._text(self._root / "setup.cfg")
        if text is None:
            return
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(text)
        except configparser.Error as error:
            self.notes.append(f"setup.cfg cannot be read: {' '.join(str(error).split())}")
            return
        self.names.add(parser.get("metadata", "name", fallback=""))
        listed = parser.get("options", _REQUIRED, fallback=None)
        if listed is None:
            return
        if listed.strip().startswith("file:"):
            for name in listed.strip().removeprefix("file:").split(","):
                self._declare_file(name.strip())
        else:
            # One line may list several: setuptools.pypa.io/en/latest/userguide/declarative_config.html.
            self._declare(listed.splitlines() if "\n" in listed else listed.split(";"), "setup.cfg")

    def _read_setup_py(self) -> None:
        file = self._root / "setup.py"
        if not file.is_file():
            return
        script = read_setup(file)
        self.names.add("".join(script.texts("name")))
        if _REQUIRED in script.arguments:
            self._declare(script.texts(_REQUIRED), file.name)
        if script.is_whole(_REQUIRED):
            return
        texts = [self._root / name for name in script.text_files]
        files = [str(path) for path in texts if self._is_inside(path) and path.is_file()]
        for name in files:
            self._declare_file(name)
        if not files:
            self.notes.append(
                f"setup.py computes what it depends on ({_REQUIRED}) when it runs, which it does not here, so "
                "that is known only in part: list it in pyproject.toml"
            )

    def _read_extension(self, name: str) -> None:
        # docs.omniverse.nvidia.com/kit/docs/kit-manual/latest/guide/extensions_advanced.html
        listed = _table(self._toml(name), "python", "pipapi").get("requirements")
        if isinstance(listed, list):
            self.requirements += self._parsed(map(str, listed), name)

    def _declare_file(self, name: str) -> None:
        self.declares = True
        if not self._is_inside(self._root / name) or not (self._root / name).is_file():
            self.notes.append(f"{name}, which is to list what the project depends on, is not in the archive")
        self.requirements += self._requirements_of(self._root / name)

    def _is_inside(self, path: Path) -> bool:
        """Return whether a file that a declaration names is in the archive: the machine's own are nobody's business."""
        try:
            return path.resolve().is_relative_to(self._archive)
        except (OSError, ValueError):
            return False

    def _requirements_of(self, file: Path) -> list[Dependency]:
        """Read a requirements file, and those that it includes."""
        text = self._text(file)
        if text is None or file.resolve() in self._read_files:
            return []
        self._read_files.add(file.resolve())
        found: list[Dependency] = []
        for raw in text.replace("\\\n", " ").splitlines():
            line = _HASH.sub("", _COMMENT.sub("", raw)).strip()
            if included := _INCLUDES.fullmatch(line):
                other = (file.parent / included["file"]).resolve()
                if other.is_relative_to(self._root.resolve()):
                    found += self._requirements_of(other)
                continue
            if editable := _EDITABLE.fullmatch(line):
                line = editable["what"]
            if line.startswith("-"):
                if not line.startswith(("-c", "--constraint", "--no-binary", "--only-binary", "--prefer-binary")):
                    self.notes.append(f"{file.name} has {line!r}, which is not used")
                continue
            # The project itself, or a part of it.
            if not _LOCAL.match(line):
                found += self._parsed([_named(line)], file.name)
        return found

    def _parsed(self, lines: Iterable[str], where: str) -> Iterator[Dependency]:
        for line in lines:
            text = _COMMENT.sub("", line).strip()
            if not text:
                continue
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                self.notes.append(f"{where} names a dependency that cannot be read: {text!r}")
                continue
            yield Dependency(requirement, str(self._shown / where))

    def _toml(self, name: str) -> dict[str, Any]:
        text = self._text(self._root / name)
        try:
            return tomllib.loads(text or "")
        except ValueError as error:
            self.notes.append(f"{name} cannot be read: {error}")
            return {}

    def _text(self, path: Path) -> str | None:
        """Read a file; None if there is none in the archive."""
        if not self._is_inside(path):
            return None
        try:
            return read_text(path, errors="replace")
        except OSError:
            return None


def _table(tables: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a table below others; an empty one if it is not there."""
    for name in names:
        inner = tables.get(name)
        tables = inner if isinstance(inner, dict) else {}
    return tables


def _files(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(name) for name in value] if isinstance(value, list) else []


def _named(line: str) -> str:
    """Give a bare address its name, as pip does: `git+https://…/robots.git` becomes `robots @ git+https://…`."""
    if re.match(r"[a-z+]+://", line) is None:
        return line
    match = _EGG.search(line) or _URL_NAME.search(line)
    return (
        line if match is None else f"{match['name'].split('-')[0] if line.endswith('.whl') else match['name']} @ {line}"
    )


def _poetry(listed: dict[str, Any]) -> Iterator[str]:
    """Write Poetry's dependencies as everybody else does: python-poetry.org/docs/dependency-specification/."""
    for name, given in listed.items():
        if name.lower() == "python":
            continue
        one = given[0] if isinstance(given, list) and given else given
        detail = one if isinstance(one, dict) else {"version": one}
        # A path is within the project, or on the machine of its author.
        if detail.get("optional") or "path" in detail:
            continue
        extras = f"[{','.join(map(str, detail['extras']))}]" if detail.get("extras") else ""
        address = f"git+{detail['git']}" if "git" in detail else detail.get("url")
        what = f" @ {address}" if address else _poetry_version(str(detail.get("version", "*")))
        # Of several, each for other machines, the name is all that is certain.
        marker = f" ; {detail['markers']}" if detail.get("markers") and not isinstance(given, list) else ""
        yield f"{name}{extras}{'' if isinstance(given, list) and not address else what}{marker}"


def _poetry_version(text: str) -> str:
    if "||" in text or text.strip() == "*":
        return ""
    return ",".join(_poetry_part(part.strip()) for part in text.split(",") if part.strip())


def _poetry_part(part: str) -> str:
    """`^1.2` is up to the next major version, `~1.2` up to the next minor one, a bare version is that one."""
    if part[0] not in "^~" or part.startswith("~="):
        return part if part[0] in "<>=!~" else f"=={part}"
    numbers = [int(number) for number in re.findall(r"\d+", part.split("-")[0])] or [0]
    if part[0] == "^":
        kept = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        kept = min(1, len(numbers) - 1)
    above = [*numbers[:kept], numbers[kept] + 1]
    return f">={part[1:].strip()},<{'.'.join(map(str, above))}"
