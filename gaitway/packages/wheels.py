"""Tell wheels from other archives, find them in a folder, and read what pip would make of one."""

from __future__ import annotations

import email
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag
from packaging.version import InvalidVersion, Version

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.archive import UNREADABLE, unpack
from gaitway.packages.image import PinnedImage

_BUILDS = frozenset({"build", "dist"})
"""Folders in which a project's own wheels are left over from a build."""
_LIBRARIES = ("purelib", "platlib")
"""Folders below `*.data` whose content pip puts beside the other packages."""
_NEWEST_GLIBC, _NEWEST_PATCH = 99, 99
"""No image has later ones: what is certain is refused, and nothing else."""


@dataclass(frozen=True)
class Wheel:
    """What a wheel says of itself.

    packaging.python.org/en/latest/specifications/binary-distribution-format/
    """

    name: str
    version: str
    build: tuple[str, ...]
    tags: tuple[str, ...]
    """Each as `py3-none-any`."""
    requires_python: str
    """Empty if it says nothing."""

    @property
    def file_name(self) -> str:
        """Its name; a download may have added "(1)", and a user a word."""
        split = [tag.split("-") for tag in self.tags]
        tag = (".".join(dict.fromkeys(one[part] for one in split)) for part in range(3))
        parts = [re.sub(r"[-_.]+", "_", self.name), self.version.replace("-", "_"), *self.build, *tag]
        return f"{'-'.join(parts)}.whl"

    def problem_in(self, image: PinnedImage) -> str | None:
        """Say why pip would not install it in an image; None if it would."""
        if not any(parse_tag(tag) & _tags_of(image.python) for tag in self.tags):
            return f"it is built for {', '.join(self.tags)}, and {image.name} has Python {image.python} on Linux x86-64"
        try:
            allowed = SpecifierSet(self.requires_python)
        except InvalidSpecifier:
            return None
        if not any(allowed.contains(f"{image.python}.{patch}") for patch in range(_NEWEST_PATCH)):
            return f"it requires Python {self.requires_python}, and {image.name} has Python {image.python}"
        return None


def read_wheel(wheel: Path) -> Wheel:
    """Read what a wheel says of itself.

    Raises:
        CustomEnvironmentError: It is one that pip would not read.
    """
    try:
        with zipfile.ZipFile(wheel) as file:
            names = set(file.namelist())
            (info, *others) = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/WHEEL", name)]
            if others:
                raise _broken(wheel, f"it has several: {', '.join(sorted([info, *others]))}")
            folder = info.partition("/")[0]
            for needed in ("METADATA", "RECORD"):
                if f"{folder}/{needed}" not in names:
                    raise _broken(wheel, f"it has no {folder}/{needed}")
            described = email.message_from_bytes(file.read(info))
            metadata = email.message_from_bytes(file.read(f"{folder}/METADATA"))
    except (*UNREADABLE, ValueError, KeyError) as error:
        raise _broken(wheel, str(error)) from error
    tags = tuple(tag for tag in described.get_all("Tag", []) if tag.count("-") == 2)
    name, version, form = metadata["Name"], metadata["Version"], described["Wheel-Version"]
    if not (tags and name and version):
        raise _broken(wheel, "its name, version or tags are not in it")
    if not re.fullmatch(r"1\.\d+", (form or "").strip()):
        raise _broken(wheel, f"its Wheel-Version is {form}, and pip reads 1.x")
    try:
        Version(version)
    except InvalidVersion:
        raise _broken(wheel, f"its version {version!r} is not valid") from None
    build = (described["Build"],) if described["Build"] else ()
    return Wheel(name, version, build, tags, metadata["Requires-Python"] or "")


def spread_wheel(wheel: Path, target: Path) -> None:
    """Unpack a wheel to where pip would install its modules. None of its code runs.

    Raises:
        CustomEnvironmentError: It is refused.
    """
    unpack(wheel, target)
    for place in [folder for data in target.glob("*.data") for kind in _LIBRARIES if (folder := data / kind).is_dir()]:
        shutil.copytree(place, target, dirs_exist_ok=True)


def is_wheel(archive: Path) -> bool:
    """Whether an archive is a wheel, by its content: a download may change its name."""
    if not zipfile.is_zipfile(archive):
        return archive.name.lower().endswith(".whl")
    try:
        with zipfile.ZipFile(archive) as file:
            return any(re.fullmatch(r"[^/]+\.dist-info/WHEEL", name) for name in file.namelist())
    except UNREADABLE:
        # Unpacking it says what is wrong.
        return False


def wheels_in(folder: Path, *, with_builds: bool) -> Iterator[Path]:
    """List the wheels in a folder.

    Args:
        folder: What was unpacked.
        with_builds: Whether to list those in folders that a build leaves beside a project, too.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != ".whl" or not path.is_file() or path.name.startswith("."):
            continue
        parts = path.relative_to(folder).parts[:-1]
        if "__MACOSX" not in parts and (with_builds or not _BUILDS & set(parts)):
            yield path


@cache
def _tags_of(python: str) -> frozenset[Tag]:
    """List what CPython on Linux on x86-64 can install, whatever its glibc."""
    major, minor = map(int, python.split("."))
    glibc = [f"manylinux_2_{number}_x86_64" for number in range(_NEWEST_GLIBC, 4, -1)]
    platforms = [*glibc, *(f"manylinux{year}_x86_64" for year in (2014, 2010, 1)), "linux_x86_64"]
    own = f"cp{major}{minor}"
    return frozenset(
        (
            *cpython_tags((major, minor), [own], platforms),
            *compatible_tags((major, minor), own, platforms),
        )
    )


def _broken(wheel: Path, reason: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(
        f"the custom environment {wheel.name} is not a wheel: {reason}. Build it again with pip wheel, or "
        "send the project"
    )
