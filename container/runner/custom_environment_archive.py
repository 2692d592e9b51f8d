"""Unpack an archive from somebody else: nothing outside its directory, no more than fits, and files only."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from gaitway.contracts.errors import CustomEnvironmentError

MAX_FILES = 20_000
"""Entries of an archive. EFS takes milliseconds for each."""
MAX_BYTES = 2 * 1024**3
"""Of an archive, and of what is in it: room for a robot's meshes, and little enough to be read within a minute."""
_MAX_NAME_BYTES = 255
"""Of one part of a path, on EFS and on ext4."""

_UNREADABLE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError,
    UnicodeDecodeError,
)  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    """A file or directory of an archive."""

    name: str
    size: int
    """Bytes; no more can be read from it."""
    is_directory: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path) -> None:
    """Unpack a .zip or .tar.gz into a directory.

    Args:
        archive: The file.
        target: A directory that nothing else writes to.

    Raises:
        CustomEnvironmentError: It cannot be read, or holds what is not allowed.
    """
    with _readable(archive):
        for path, entry in _checked(archive):
            place = target / path
            if entry.is_directory:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as content, place.open("wb") as file:
                shutil.copyfileobj(content, file)


def check(archive: Path) -> None:
    """Check the list of an archive's entries, without unpacking it.

    Raises:
        CustomEnvironmentError: It cannot be read, or holds what is not allowed.
    """
    with _readable(archive):
        for _ in _checked(archive):
            pass


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Tell what is wrong with an archive by its name."""
    try:
        yield
    except _UNREADABLE as error:
        raise _refused(archive, f"it cannot be read ({str(error) or type(error).__name__}): is it whole?") from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise _refused(archive, f"{error.filename!r} is both a file and a directory in it") from error


def _checked(archive: Path) -> Iterator[tuple[PurePosixPath, _Entry]]:
    """Give every entry with its place, as long as all of them are harmless."""
    size = 0
    entries = _tar_entries(archive) if archive.name.endswith(".tar.gz") else _zip_entries(archive)
    for number, entry in enumerate(entries, start=1):
        size += entry.size
        if number > MAX_FILES:
            raise _refused(archive, f"it has more than {MAX_FILES} entries")
        if size > MAX_BYTES:
            raise _too_large(archive)
        yield _place(archive, entry.name), entry


def _place(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    # Backslashes and drives mean nothing here, but they did where such an archive was made.
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name or "\0" in name:
        raise _refused(archive, f"{name!r} would lie outside of it, allowed: relative paths without '..'")
    if any(len(part.encode(errors="surrogateescape")) > _MAX_NAME_BYTES for part in path.parts):
        raise _refused(archive, f"{name[:50]!r}... is too long a name")
    return path


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_file(archive, info.filename)
            if info.flag_bits & 1:
                raise _refused(archive, f"{info.filename!r} is encrypted")
            # zipfile reads no more of an entry than the size that it declares.
            yield _Entry(info.filename, info.file_size, info.is_dir(), partial(file.open, info))


def _tar_entries(archive: Path) -> Iterator[_Entry]:
    # As a stream: what follows an entry that is refused is never decompressed.
    with _LimitedGzip(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as file:
        for member in file:
            if not (member.isdir() or member.isreg()) or member.issparse():
                raise _no_file(archive, member.name)
            yield _Entry(member.name, member.size, member.isdir(), partial(_content, file, member))


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(member)
    assert content is not None  # of a regular file there is one
    return content


class _LimitedGzip(gzip.GzipFile):
    """Ends an archive that grows too large, whatever its headers say."""

    def __init__(self, archive: Path) -> None:
        super().__init__(archive, "rb")
        self._archive = archive
        # Headers and padding come on top of the files.
        self._left = MAX_BYTES + MAX_FILES * 4096

    def read(self, size: int | None = -1) -> bytes:
        """Read up to a number of bytes."""
        data = super().read(min(size, self._left + 1) if size is not None and size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._archive)
        return data


def _no_file(archive: Path, name: str) -> CustomEnvironmentError:
    return _refused(archive, f"{name!r} is a link or a device, allowed: files and directories; put the file there")


def _too_large(archive: Path) -> CustomEnvironmentError:
    return _refused(archive, f"unpacked it is larger than {MAX_BYTES // 1024**2} MiB")


def _refused(archive: Path, reason: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(f"the custom environment {archive.name} is refused: {reason}")
