"""Unpack an untrusted archive: nothing outside its directory, within size limits, and files only.

What kind of archive it is, its first bytes say: a download may change its name.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.packages import HEAD_BYTES, LFS_POINTER, Format, package_format

MAX_FILES = 20_000
"""Entries of an archive. EFS takes milliseconds for each."""
MAX_BYTES = 2 * 1024**3
"""Limit for an archive, and for its content: enough for a robot's meshes, and readable within a minute."""
_MAX_NAME_BYTES = 255
"""Limit for one part of a path, on EFS and on ext4."""
_MAX_PATH_BYTES, _MAX_DEPTH = 1024, 64
"""Limits for a whole path. Linux takes 4096 bytes, together with the folders that it is unpacked into."""
_MAX_POINTER_BYTES = 1024
"""git-lfs writes pointers of less: github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
_NOT_USED = frozenset({"doc", "docs", "test", "tests"})
"""Folders whose files no task needs."""
_SHOWN_POINTERS = 3

UNREADABLE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError,
    ValueError, IndexError, struct.error,
)  # fmt: skip
"""Altered headers of an archive show as any of these: a nameless entry, an impossible offset."""


@dataclass(frozen=True)
class Entry:
    """A file or directory of an archive."""

    name: str
    size: int
    """Bytes; no more can be read from it."""
    is_directory: bool
    open: Callable[[], IO[bytes]]


class TooLargeError(Exception):
    """An archive holds more than a reader wants to look at."""


def unpack(archive: Path, target: Path) -> None:
    """Unpack a .zip or .tar.gz into a directory.

    Args:
        archive: The file.
        target: A directory to which nothing else writes.

    Raises:
        CustomEnvironmentError: It cannot be read, or contains something that is not allowed.
    """
    pointers = []
    with readable(archive.name), archive.open("rb") as file:
        for path, entry in checked(archive.name, file):
            place = target / path
            if entry.is_directory:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as content, place.open("wb") as unpacked:
                shutil.copyfileobj(content, unpacked)
            if may_be_pointer(path, entry) and place.read_bytes().startswith(LFS_POINTER):
                pointers.append(str(path))
    _refuse_pointers(archive.name, pointers)


def check(archive: Path) -> None:
    """Check an archive's entries, without unpacking it.

    Raises:
        CustomEnvironmentError: It cannot be read, or contains something that is not allowed.
    """
    with readable(archive.name), archive.open("rb") as file:
        pointers = [
            str(path)
            for path, entry in checked(archive.name, file)
            if may_be_pointer(path, entry) and _is_pointer(entry)
        ]
    _refuse_pointers(archive.name, pointers)


def may_be_pointer(path: PurePosixPath, entry: Entry) -> bool:
    """Whether an entry is as small as a pointer of Git LFS, in the place of a file that a task may need."""
    hidden = any(part in _NOT_USED or part.startswith(".") for part in path.parts)
    return not (entry.is_directory or hidden) and len(LFS_POINTER) <= entry.size < _MAX_POINTER_BYTES


def _is_pointer(entry: Entry) -> bool:
    with entry.open() as content:
        return content.read(len(LFS_POINTER)) == LFS_POINTER


def _refuse_pointers(archive: str, pointers: list[str]) -> None:
    if pointers:
        more = f" and {len(pointers) - _SHOWN_POINTERS} more" if len(pointers) > _SHOWN_POINTERS else ""
        raise _refused(
            archive,
            f"{', '.join(pointers[:_SHOWN_POINTERS])}{more} in it are pointers of Git LFS instead of files: run "
            "git lfs pull before packing",
        )


@contextmanager
def readable(archive: str) -> Iterator[None]:
    """Say what is wrong, with the archive's name."""
    try:
        yield
    except NotImplementedError as error:
        # Explorer compresses large files with Deflate64, and newer archivers with zstd.
        reason = f"it is packed in a way that Python cannot read ({error}): pack it again, as a .zip with Deflate"
        raise _refused(archive, reason) from error
    except UNREADABLE as error:
        raise _refused(archive, f"it cannot be read ({str(error) or type(error).__name__}): is it whole?") from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        name = Path(error.filename or "").name
        raise _refused(archive, f"{name!r} is both a file and a directory in it: leave out one of them") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # An offset in front of the file.
        raise _refused(archive, f"it cannot be read ({error}): is it whole?") from error


def checked(archive: str, file: BinaryIO, limit: int = MAX_BYTES) -> Iterator[tuple[PurePosixPath, Entry]]:
    """Yield every entry with its path, and raise at the first harmful one.

    Args:
        archive: Its name, for messages.
        file: Its content.
        limit: A .tar.gz that is larger than this unpacked is not read to its end.

    Raises:
        TooLargeError: It reaches a limit that is lower than what is allowed.
    """
    size = number = 0
    kind = package_format(archive, file.read(HEAD_BYTES))
    if isinstance(kind, str):
        raise _refused(archive, kind)
    file.seek(0)
    entries = _tar_entries(archive, file, limit) if kind is Format.TAR_GZ else _zip_entries(archive, file)
    for number, entry in enumerate(entries, start=1):
        size += entry.size
        if number > MAX_FILES:
            raise _refused(archive, f"it has more than {MAX_FILES} entries")
        if size > MAX_BYTES:
            raise _too_large(archive)
        yield _place(archive, entry.name), entry
    if not number:
        raise _refused(archive, "it is an empty archive: pack the project again")


def _place(archive: str, name: str) -> PurePosixPath:
    # Windows' own archiver once wrote backslashes; a drive means something there, too.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name:
        raise _refused(archive, f"{name!r} would be outside of it, allowed: relative paths without '..'")
    if any(len(part.encode(errors="surrogateescape")) > _MAX_NAME_BYTES for part in path.parts):
        raise _refused(archive, f"{name[:50]!r}... is too long a name, allowed: {_MAX_NAME_BYTES} bytes")
    if len(path.parts) > _MAX_DEPTH or len(name.encode(errors="surrogateescape")) > _MAX_PATH_BYTES:
        raise _refused(
            archive,
            f"{name[:50]!r}... is too long a path, allowed: {_MAX_DEPTH} folders in each other, and {_MAX_PATH_BYTES} "
            "bytes",
        )
    return path


def _zip_entries(archive: str, content: BinaryIO) -> Iterator[Entry]:
    with zipfile.ZipFile(content) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_file(archive, info.filename)
            if info.flag_bits & 1:
                raise _refused(archive, f"{info.filename!r} is encrypted: pack it again without a password")
            # zipfile reads no more of an entry than the size that it declares.
            is_directory = info.filename.endswith(("/", "\\"))
            yield Entry(info.filename, info.file_size, is_directory, partial(file.open, info))


def _tar_entries(archive: str, content: BinaryIO, limit: int) -> Iterator[Entry]:
    # As a stream: nothing after a refused entry is decompressed.
    with _LimitedGzip(archive, content, limit) as stream, tarfile.open(fileobj=stream, mode="r|") as file:
        for member in file:
            if not (member.isdir() or member.isreg()) or member.issparse():
                raise _no_file(archive, member.name)
            yield Entry(member.name, member.size, member.isdir(), partial(_content, file, member))


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(member)
    assert content is not None  # a regular file always has content
    return content


class _LimitedGzip(gzip.GzipFile):
    """Ends an archive that grows too large, whatever its headers say."""

    def __init__(self, archive: str, content: BinaryIO, limit: int) -> None:
        super().__init__(fileobj=content, mode="rb")
        self._archive = archive
        self._is_allowed = limit < MAX_BYTES
        # Headers and padding are not included in the files' size.
        self._left = limit if self._is_allowed else MAX_BYTES + MAX_FILES * 4096

    def read(self, size: int | None = -1) -> bytes:
        """Read up to a number of bytes."""
        data = super().read(min(size, self._left + 1) if size is not None and size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise TooLargeError if self._is_allowed else _too_large(self._archive)
        return data


def _no_file(archive: str, name: str) -> CustomEnvironmentError:
    return _refused(archive, f"{name!r} is a link or a device, allowed: files and directories; put the file there")


def _too_large(archive: str) -> CustomEnvironmentError:
    return _refused(archive, f"unpacked it is larger than {MAX_BYTES // 1024**2} MiB")


def _refused(archive: str, reason: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(f"the custom environment {archive} is refused: {reason}")
