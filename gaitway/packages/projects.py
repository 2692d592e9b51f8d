"""The projects in a folder that was unpacked or installed: where each is imported from, and what it offers.

A folder with a project file (pyproject.toml, setup.cfg, setup.py, extension.toml) is a project. Those below `source` or
`exts`, where Isaac Lab's project template and its older extension template put them, come first, then other
projects, then folders that hold packages without such a file, then projects among examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import distributions
from pathlib import Path

from gaitway.packages.project_files import Declared, declared_by_project, declared_by_wheels, metadata_files

_MAIN = frozenset({"source", "exts"})
_EXAMPLES = frozenset({"benchmarks", "bin", "demos", "examples", "scripts", "tools"})
"""Folders whose projects come last, and whose packages are used if there are no others."""
_NEVER = frozenset(
    {
        "build", "devel", "dist", "doc", "docs", "env", "install", "log", "logs", "node_modules", "outputs",
        "site-packages", "test", "tests", "venv", "wandb",
    }
)  # fmt: skip
"""Folders that hold no packages to import, or copies of them: colcon and catkin install into the workspace."""
_NO_MODULES = frozenset({"__init__", "__main__", "conftest", "noxfile", "setup"})
_SCRIPT = re.compile(r"\b(AppLauncher|SimulationApp|parse_args|parse_known_args)\(")
"""In the text of a program, which an import would start."""
_RELATIVE_IMPORT = re.compile(r"^\s*from\s+\.", re.MULTILINE)


@dataclass(frozen=True)
class ProjectRoot:
    """A project, or a folder of packages without a project file."""

    name: str
    """For messages: its folder in the archive, or the name of a wheel's distribution."""
    folder: Path
    """Where its project files are; for a wheel, where it is installed."""
    import_root: Path
    """Directory to import from."""
    metadata: tuple[Path, ...]
    """Its pyproject.toml, setup.cfg, setup.py and extension.toml, as far as they exist; of a wheel, its METADATA."""
    modules: tuple[str, ...]
    """What it offers to import: packages, then modules beside them. None for a project of others, as a repository's."""
    tasks: tuple[str, ...] = ()
    """Modules that it names itself as those that register tasks."""
    replaces: frozenset[str] = frozenset()
    """Top-level modules that are to take the place of the image's own."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Packages that are not in a folder of their own name below `import_root`."""
    rank: int = 0
    """The lower, the more likely is it the one that registers the task."""

    @property
    def names(self) -> frozenset[str]:
        """The top-level names that it offers."""
        return frozenset(module.partition(".")[0] for module in (*self.modules, *self.tasks))


def find_projects(top: Path) -> list[ProjectRoot]:
    """List the projects in a directory, most likely first; empty if nothing in it can be imported.

    Args:
        top: Directory with what was unpacked, or what pip installed. If the archive is a package itself, without a
            folder of its own, this directory's name is the package's.

    Raises:
        CustomEnvironmentError: A project file cannot be read.
    """
    metadata = tuple(sorted(top.glob("*.dist-info/METADATA")))
    if metadata:
        declared = declared_by_wheels(distributions(path=[str(top)]))
        modules = tuple(_offered(top, declared))
        return [ProjectRoot(declared.name or top.name, top, top, metadata, modules, declared.tasks, declared.replaces)]
    projects = [_project(folder, top) for folder in _folders(top) if metadata_files(folder)]
    plain = _plain(top, [project for project in projects if project.modules])
    return sorted([*projects, *plain], key=lambda project: project.rank)


def _folders(top: Path) -> Iterator[Path]:
    """Walk the folders that may be projects, top down."""
    yield top
    for child in _children(top):
        # Inside a package only files that a program copies look like projects.
        if not _is_package(child) or metadata_files(child):
            yield from _folders(child)


def _children(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        hidden = child.name.startswith((".", "__")) or child.name in _NEVER
        if child.is_dir() and not hidden and not (child / "pyvenv.cfg").exists():
            yield child


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def _project(folder: Path, top: Path) -> ProjectRoot:
    declared = declared_by_project(folder)
    # What lies beside the archive is not the project's, whatever its files say.
    inside = {name: place for name, place in declared.folders.items() if _is_inside(folder / place, top)}
    declared = replace(declared, folders=inside)
    parts = folder.relative_to(top).parts
    rank = 3 if _EXAMPLES & set(parts) else 0 if _MAIN & set(parts) else 1
    root = folder / declared.folders.get("", ".")
    if "" not in declared.folders and _is_in_src(folder, declared):
        root = folder / "src"
    folders = {
        name: folder / place
        for name, place in declared.folders.items()
        if name and (folder / place).is_dir() and folder / place != root / name
    }
    modules = [name for name in _offered(root, declared) if name not in folders] if root.is_dir() else []
    # A mapping of a package to the project's own folder: what is in it is no package of its own.
    if folder in folders.values():
        modules = []
    project = ProjectRoot(
        name=_shown(folder, top),
        folder=folder,
        import_root=root.resolve(),
        metadata=metadata_files(folder),
        modules=(*folders, *modules),
        tasks=declared.tasks,
        replaces=declared.replaces,
        folders={name: place.resolve() for name, place in folders.items()},
        rank=rank,
    )
    return _as_package(project, folder) if _is_itself_a_package(folder, root, declared) else project


def _is_in_src(folder: Path, declared: Declared) -> bool:
    """Whether a project's code is in its folder `src`: packages, those in a namespace, or else modules."""
    src = folder / "src"
    if any(_packages(folder, declared)) or not src.is_dir():
        return False
    return any(_packages(src, declared)) or (not any(_modules(folder)) and bool(_offered(src, declared)))


def _is_inside(path: Path, top: Path) -> bool:
    try:
        return path.resolve().is_relative_to(top.resolve())
    except (OSError, ValueError):
        return False


def _is_itself_a_package(folder: Path, root: Path, declared: Declared) -> bool:
    """Whether a project's folder is the package, instead of holding it."""
    if root != folder or declared.folders:
        return False
    if not _is_package(folder):
        return not any(_packages(folder, declared)) and _imports_itself(folder)
    own = {_normal(name) for name in (declared.name, folder.name, *declared.packages) if name}
    return not any(_normal(package.name) in own for package in _packages(folder, declared))


def _as_package(project: ProjectRoot, folder: Path) -> ProjectRoot:
    name = re.sub(r"\W", "_", folder.name)
    modules = [name] if _is_package(folder) else [f"{name}.{module}" for module in _modules_below(folder)]
    return ProjectRoot(
        name=project.name,
        folder=folder,
        import_root=folder.parent.resolve(),
        metadata=project.metadata,
        modules=tuple(modules),
        tasks=project.tasks,
        replaces=project.replaces,
        folders={} if name == folder.name else {name: folder.resolve()},
        rank=project.rank,
    )


def _plain(top: Path, projects: list[ProjectRoot]) -> list[ProjectRoot]:
    """List folders without project files that hold packages; if there is no code elsewhere, those with modules."""
    taken = {project.folder for project in projects} | {project.import_root for project in projects}
    packaged = {project.import_root / name for project in projects for name in project.names}
    if _is_package(top) and top not in packaged:
        return [_as_package(ProjectRoot(".", top, top, (), (), rank=2), top)]

    def holds_packages(folder: Path) -> bool:
        return any(packaged.isdisjoint((package, *package.parents)) for package in _packages(folder, Declared()))

    def nearest(holds: Callable[[Path], bool], ignored: frozenset[str]) -> list[Path]:
        level = [top]
        while level:
            found = [folder for folder in level if folder not in taken and holds(folder)]
            if found:
                return found
            level = [
                child
                for folder in level
                for child in _children(folder)
                if child.name not in ignored and child not in taken and not _is_package(child)
            ]
        return []

    for ignored in (_EXAMPLES, frozenset[str]()):
        for holds in (holds_packages, lambda folder: any(_modules(folder))):
            found = nearest(holds, ignored)
            if found:
                return [_plain_root(folder, top) for folder in found]
            if projects:
                return []
    return []


def _plain_root(folder: Path, top: Path) -> ProjectRoot:
    root = ProjectRoot(_shown(folder, top), folder, folder.resolve(), (), (), rank=2)
    # The modules that were found may import each other by the name of a folder further up.
    above = (place for place in folder.parents if place != top and place.is_relative_to(top))
    for place in (folder, *above):
        if not any(_packages(place, Declared())) and _imports_itself(place):
            return _as_package(root, place)
    modules = _offered(folder, Declared()) or [path.stem for path in _modules(folder)]
    return ProjectRoot(root.name, folder, root.import_root, (), tuple(modules), rank=2)


def _shown(folder: Path, top: Path) -> str:
    return str(folder.relative_to(top)) if folder != top else top.name


def _offered(root: Path, declared: Declared) -> list[str]:
    """List what a directory offers to import: packages and modules that register tasks, or packages in namespaces."""
    packages = [path.name for path in _packages(root, declared)]
    beside = [path for path in _modules(root) if path.stem in declared.packages or _registers(path)]
    names = [*packages, *(path.stem for path in beside)]
    if declared.packages:
        # What the project lists comes first; the rest can be imported, too.
        names.sort(key=lambda name: name not in declared.packages)
    own = _normal(declared.name or "")
    names.sort(key=lambda name: _normal(name) != own)
    return names or _namespaces(root)


def _packages(directory: Path, declared: Declared) -> Iterator[Path]:
    if not directory.is_dir():
        return
    own = {*declared.packages, declared.name}
    for path in sorted(directory.iterdir()):
        ignored = (path.name in _EXAMPLES or path.name in _NEVER) and path.name not in own
        if path.is_dir() and path.name.isidentifier() and not ignored and _is_package(path):
            yield path


def _modules(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.glob("*.py")):
        if (
            path.stem.isidentifier()
            and path.stem not in _NO_MODULES
            and path.is_file()
            and not _SCRIPT.search(_text(path))
        ):
            yield path


def _namespaces(root: Path) -> list[str]:
    """List packages in folders without an `__init__.py`; else the modules in such folders."""
    inits = {path.parent for path in root.rglob("__init__.py") if not _odd(path.parent.relative_to(root))}
    packages = [".".join(path.relative_to(root).parts) for path in inits if path.parent not in inits]
    if packages:
        return sorted(packages)
    return [
        f"{folder.name}.{module.stem}"
        for folder in _children(root)
        if folder.name.isidentifier() and folder.name not in _EXAMPLES
        for module in _modules(folder)
    ]


def _odd(path: Path) -> bool:
    return any(part in _NEVER or part in _EXAMPLES or not part.isidentifier() for part in path.parts)


def _imports_itself(folder: Path) -> bool:
    """Whether a folder's modules work only as modules of a package of the folder's name."""
    own_name = re.compile(rf"^\s*(?:from|import)\s+{re.escape(folder.name)}\b", re.MULTILINE)
    return any(_RELATIVE_IMPORT.search(_text(path)) for path in _modules(folder)) or any(
        own_name.search(_text(path)) for inner in _code_folders(folder) for path in _modules(inner)
    )


def _code_folders(folder: Path) -> Iterator[Path]:
    """Walk the folders whose modules belong to a package without an `__init__.py`, top down."""
    yield folder
    for child in _children(folder):
        if child.name.isidentifier() and child.name not in _EXAMPLES and not metadata_files(child):
            yield from _code_folders(child)


def _modules_below(folder: Path) -> Iterator[str]:
    """List the modules of a folder without an `__init__.py`; if it has none, those nearest below it."""
    for inner in _code_folders(folder):
        found = [".".join((*inner.relative_to(folder).parts, module.stem)) for module in _modules(inner)]
        if found:
            yield from found
            return


def _registers(module: Path) -> bool:
    return "register" in _text(module)


def _text(module: Path) -> str:
    return module.read_text(encoding="utf-8", errors="replace")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def not_importable(top: Path) -> list[str]:
    """List the packages and modules in a directory whose names are not Python's, as `my-robots`."""
    found = [path for path in _walk(top) if not path.stem.isidentifier()]
    return [str(path.relative_to(top)) for path in found]


def _walk(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("*.py")) if not _SCRIPT.search(_text(path)))
    for child in _children(folder):
        if _is_package(child):
            yield child
        else:
            yield from _walk(child)
