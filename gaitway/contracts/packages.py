"""A package with custom tasks, as far as its name and its first bytes tell: read before a machine is paid for."""

from __future__ import annotations

import codecs
import re
from enum import Enum

SUFFIXES = (".tar.gz", ".tgz", ".zip", ".whl")
"""Of names, in any case."""
HEAD_BYTES = 512
"""So many first bytes tell what a file is."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""


class Format(Enum):
    """How a package is packed; a wheel is a zip."""

    ZIP = "zip"
    TAR_GZ = "tar.gz"


_BEGINNINGS = (
    (b"PK\x03\x04", Format.ZIP),
    (b"\x1f\x8b", Format.TAR_GZ),
    (b"PK\x05\x06", "it is an empty .zip"),
    (LFS_POINTER, "it is a pointer of Git LFS instead of the file: run git lfs pull, and upload the file itself"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive: pack it again as a .zip"),
    (b"Rar!", "it is a RAR archive: pack it again as a .zip"),
    (b"\xfd7zXZ", "it is compressed with xz: pack it again as a .tar.gz"),
    (b"BZh", "it is compressed with bzip2: pack it again as a .tar.gz"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd: pack it again as a .tar.gz"),
)
_PAGE = "it is a page in HTML or XML, as a failed download leaves: fetch the file again"
_TEXT = re.compile(rb"[\t\n\r -~\x80-\xff]+")


def has_package_suffix(name: str) -> bool:
    """Whether a file's name is that of a package."""
    return name.lower().endswith(SUFFIXES)


def package_format(name: str, head: bytes) -> Format | str:
    """Tell the format of a package, or in words why it is not one.

    Args:
        name: Of the file: names that a download has changed are accepted, if the content is a package.
        head: The first `HEAD_BYTES` of it, or all of it if it is shorter.
    """
    if not head:
        return "it is empty: upload it again"
    for beginning, meaning in _BEGINNINGS:
        if head.startswith(beginning):
            if meaning is Format.TAR_GZ and name.lower().endswith(".whl"):
                return "it is a .tar.gz, and a wheel is a .zip: give it the suffix .tar.gz, or build a wheel"
            return meaning
    if head[257:262] == b"ustar":
        return "it is a .tar that is not compressed: compress it to a .tar.gz"
    if (text := head.removeprefix(codecs.BOM_UTF8).lstrip()).startswith(b"<"):
        return _PAGE
    if _TEXT.fullmatch(text):
        shown = text.decode(errors="replace").splitlines()[0][:40]
        return f"it cannot be read: it is a text file (it begins with {shown!r}), allowed are {', '.join(SUFFIXES)}"
    return f"it cannot be read: allowed are {', '.join(SUFFIXES)}, and it begins like none of them"
