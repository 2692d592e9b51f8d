"""A small copy of an archive: of its files only those that say what is in it, and what that depends on.

So a large archive can be looked at without fetching it, by the same code that unpacks it in the job.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gaitway.contracts.packages import HEAD_BYTES, Format, package_format
from gaitway.packages.archive import Entry, TooLargeError, checked, may_be_pointer, readable

_ENDINGS = (".py", ".toml", ".cfg", ".txt", ".in", ".whl", "metadata", "wheel", "pkg-info")
"""Of the names of files that are copied: modules, project files, what these name, metadata, and wheels in it."""


def excerpt(name: str, archive: BinaryIO, target: Path, limit: int, *, is_near: bool) -> None:
    """Write a .zip with all names of an archive; the files that say nothing about it are empty in it.

    Args:
        name: Of the archive, for messages.
        archive: It; of a .zip only what is copied is read.
        target: The file to write.
        limit: The most bytes that are unpacked.
        is_near: Whether every byte can be read at once. Otherwise pointers of Git LFS are not looked for.

    Raises:
        TooLargeError: It would have to be read further.
        CustomEnvironmentError: It is refused.
    """
    files: dict[str, bytes] = {}
    with readable(name):
        kind = package_format(name, archive.read(HEAD_BYTES))
        archive.seek(0)
        for path, entry in checked(name, archive, limit):
            content = b""
            if _tells(path, entry) or (is_near and may_be_pointer(path, entry)):
                # Of a .tar.gz checked() itself counts what is unpacked.
                limit -= entry.size if kind is Format.ZIP else 0
                if limit < 0:
                    raise TooLargeError
                with entry.open() as file:
                    content = file.read()
            files[f"{path}/" if entry.is_directory else str(path)] = content
    with zipfile.ZipFile(target, "w") as copied:
        for file_name, content in files.items():
            # A .tar.gz may have names that are not UTF-8, and no name of a module is.
            if not any("\ud800" <= character <= "\udfff" for character in file_name):
                copied.writestr(zipfile.ZipInfo(file_name), content)


def _tells(path: PurePosixPath, entry: Entry) -> bool:
    return not entry.is_directory and path.name.lower().endswith(_ENDINGS)
