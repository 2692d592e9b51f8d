"""What a file holds that is given as a policy: told from its first bytes, its archive's directory and its pickle.

Nothing in the file is run or imported, and little of it is read, so that a function can look at a file in S3.
"""

from __future__ import annotations

import codecs
import itertools
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from gaitway.libraries.checkpoints import is_checkpoint, newest
from gaitway.libraries.pickled import Pickled, Thing, read_pickle
from gaitway.libraries.registry import LIBRARIES, RlLibrary

MAX_PICKLE_BYTES = 4 * 1024**2
"""A pickle without its tensors is a few kilobytes. A longer one is left to the simulator."""
_SHOWN = 5
"""Names in a message."""

_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError, struct.error)
"""Altered headers of a zip archive show as any of these."""

_TENSORS = re.compile(
    r"torch\.(?:_utils\._rebuild_\w+|_tensor\._rebuild_\w+|nn\.parameter\.\w+|serialization\._get_layout|storage\.(?:Typed|Untyped)Storage"
    r"|[a-z]+\d+\w*|\w+Storage|Size|Tensor|device|bool|float|double|half|int|long|short)"
    r"|collections\.(?:OrderedDict|Counter)|_codecs\.encode|(?:builtins|__builtin__)\.(?:bytearray|set|complex)"
    r"|numpy\.(?:dtype|ndarray|_?core\.multiarray\.(?:scalar|_reconstruct))"
)
"""What checkpoints need beside plain values: what torch.load(weights_only=True) allows, and NumPy's numbers.
docs.pytorch.org/docs/stable/notes/serialization.html"""

_READ_SAFELY = frozenset(
    {
        "APPEND", "APPENDS", "BINFLOAT", "BINGET", "BININT", "BININT1", "BININT2", "BINPERSID", "BINPUT",
        "BINUNICODE", "BUILD", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "EMPTY_TUPLE", "GLOBAL", "LONG1",
        "LONG_BINGET", "LONG_BINPUT", "MARK", "NEWFALSE", "NEWOBJ", "NEWTRUE", "NONE", "PROTO", "REDUCE", "SETITEM",
        "SETITEMS", "SHORT_BINSTRING", "STOP", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    }
)  # fmt: skip
"""Opcodes that torch.load(weights_only=True) reads, those of protocol 2: torch/_weights_only_unpickler.py."""

_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""torch.save's magic number, which begins the files of releases before 1.6."""
_LFS = b"version https://git-lfs"
"""github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""

_UNPACK = "unpack it, and give one of the checkpoints in it"
_AGAIN = "upload the file again"
_NATIVE = "give the checkpoint as its library saved it, for example model_1499.pt"
_FORMATS: Mapping[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("a compressed archive (gzip)", _UNPACK),
    b"BZh": ("a compressed archive (bzip2)", _UNPACK),
    b"\xfd7zXZ": ("a compressed archive (xz)", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("a compressed archive (zstd)", _UNPACK),
    b"7z\xbc\xaf": ("a compressed archive (7z)", _UNPACK),
    b"Rar!": ("a compressed archive (rar)", _UNPACK),
    b"\x89HDF": ("an HDF5 file", _NATIVE),
    b"\x93NUMPY": ("an array of NumPy", _NATIVE),
    b"PXR-USDC": ("a USD scene", _NATIVE),
    b"\x00\x05\x16\x07": ("a side file of macOS, which begins with ._", "give the file without ._ in its name"),
    b"\x00\x05\x16\x00": ("a side file of macOS, which begins with ._", "give the file without ._ in its name"),
    b"\x7fELF": ("a program", _NATIVE),
    b"\x89PNG": ("a picture", _NATIVE),
    b"%PDF": ("a PDF", _NATIVE),
}
_EXPORT = "a network without its training; give the checkpoint that it was exported from"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint."""

    library: RlLibrary | None
    """The library that wrote it; None if its pickle is too long to look at."""
    foreign: tuple[str, ...] = ()
    """Classes and functions that a load would need beside tensors and plain values."""


@dataclass(frozen=True)
class Exported:
    """A policy in TorchScript."""


@dataclass(frozen=True)
class Other:
    """Anything else."""

    what: str
    cure: str


Content = Checkpoint | Exported | Other


def recognise(file: BinaryIO, size: int) -> Content:
    """Look at a file.

    Args:
        file: The file, which can be read anywhere.
        size: Its bytes.
    """
    file.seek(0)
    head = file.read(512)
    if not head:
        return Other("an empty file", f"{_AGAIN}; if it is empty on the disk too, take the checkpoint before it")
    if head.startswith(b"PK\x03\x04"):
        return _zip(file)
    if head.startswith(_OLD_TORCH):
        return _old_torch(file)
    return _not_a_checkpoint(head, size)


def refusal(content: Content, library: RlLibrary | None, *, may_be_exported: bool) -> str | None:
    """Say why a file cannot be used, and what to do; None if it can.

    Args:
        content: What it holds.
        library: The request's library; None if the workload has none.
        may_be_exported: Whether an exported policy is as good as a checkpoint.
    """
    match content:
        case Other(what, cure):
            return f"which is {what}: {cure}"
        case Exported() if not may_be_exported:
            return (
                f"which is an exported policy (TorchScript), {_EXPORT} (exported/policy.json names it), for example "
                "checkpoints/model_1499.pt"
            )
        case Checkpoint(foreign=foreign) if foreign:
            return (
                f"which holds more than weights: loading it would run code of {_some(foreign)}. Only tensors and plain "
                "values are loaded: save it again with state_dict() of its parts, and without other objects"
            )
        case Checkpoint(library=found) if found is not None and library is not None and found != library:
            return (
                f"which is a checkpoint of {found}, but trainingConfig.rlLibrary is {library!r}: give "
                f'"rlLibrary": "{found}", or a checkpoint of {library}'
            )
    return None


def _zip(file: BinaryIO) -> Content:
    try:
        with zipfile.ZipFile(file) as archive:
            return _archive(archive)
    except _DAMAGED as error:
        return Other(
            f"an archive that is incomplete or damaged ({error})", f"{_AGAIN}, or give the checkpoint before it"
        )


def _archive(archive: zipfile.ZipFile) -> Content:
    names = archive.namelist()
    for library, record in LIBRARIES.items():
        if record.checkpoints.member != "data.pkl" and record.checkpoints.member in names:
            return Checkpoint(library)
    pickles = [name for name in names if PurePosixPath(name).parts[1:] == ("data.pkl",)]
    if any(PurePosixPath(name).parts[1:2] in (("code",), ("constants.pkl",)) for name in names):
        return Exported()
    if any(PurePosixPath(name).name in ("serialized_exported_program.json", "archive_format") for name in names):
        return Other("a program of torch.export", f"it is {_EXPORT}")
    if pickles:
        if archive.getinfo(pickles[0]).file_size > MAX_PICKLE_BYTES:
            return Checkpoint(None)
        with archive.open(pickles[0]) as member:
            return _checkpoint(read_pickle(member.read(MAX_PICKLE_BYTES)))
    if any(PurePosixPath(name).name == "data.pkl" for name in names):
        return Other("a checkpoint that was unpacked and packed again", f"{_NATIVE}, without unpacking it")
    checkpoints = [name for name in names if is_checkpoint(name)]
    if checkpoints:
        return Other(f"an archive of {len(names)} files", f"unpack it, and give {newest(checkpoints)} of it")
    return Other(f"an archive of other files ({_some(names)})", _NATIVE)


def _old_torch(file: BinaryIO) -> Content:
    """Look at a file of torch.save before release 1.6, or with its old format: four pickles, then the tensors."""
    file.seek(0)
    try:
        *_, pickled = [read_pickle(file) for _ in range(4)]
    except _DAMAGED as error:
        return Other(f"a checkpoint that is incomplete or damaged ({error})", f"{_AGAIN}, or give the one before it")
    return _checkpoint(pickled)


def _checkpoint(pickled: Pickled) -> Content:
    content = pickled.content
    foreign = tuple(name for name in pickled.names if not _TENSORS.fullmatch(name))
    if isinstance(content, Thing) and content.made_by in foreign:
        what = f"an object of {content.made_by}, saved as a whole"
        return Other(what, "save its state_dict() with its library's own function: code in a file is never run")
    if not isinstance(content, dict):
        return Other("a file of torch.save without a checkpoint's entries", _NATIVE)
    for library, record in LIBRARIES.items():
        entries = [entry for entry in record.checkpoints.entries if entry in content]
        if any(not isinstance(content[entry], dict | Thing) or content[entry] == {} for entry in entries):
            return Other(f"a checkpoint of {library} whose {' and '.join(entries)} holds no weights", _NATIVE)
        if entries and not foreign and not pickled.opcodes <= _READ_SAFELY:
            what = "a checkpoint that was saved with another pickle protocol than torch.save's own"
            return Other(what, "save it again with torch.save, without pickle_protocol: others are not read safely")
        if entries:
            return Checkpoint(library, foreign)
    known = ", ".join(LIBRARIES)
    what = f"a file of torch.save that holds {_some(content) or 'nothing'}: no checkpoint of {known}"
    return Other(what, _NATIVE)


def _not_a_checkpoint(head: bytes, size: int) -> Other:
    # An editor, or a copy through a text, begins it with a byte order mark.
    head = head.removeprefix(codecs.BOM_UTF8)
    if head.startswith(_LFS):
        return Other(f"a Git LFS pointer of {size} bytes, and not the file itself", f"run git lfs pull, and {_AGAIN}")
    for magic, (what, cure) in _FORMATS.items():
        if head.startswith(magic):
            return Other(what, cure)
    if head[257:262] == b"ustar":
        return Other("a tar archive", _UNPACK)
    if _is_safetensors(head, size):
        return Other("a file of safetensors, which holds weights without a checkpoint's entries", _NATIVE)
    if _is_onnx(head):
        return Other("an ONNX model", f"it is {_EXPORT}, or, to evaluate, the TorchScript file exported/policy.pt")
    text = head.lstrip()
    if text.startswith(b"<"):
        beginning = text[:40].decode("ascii", "replace").split("\n")[0]
        what = f"a web page or XML (it begins with {beginning!r}), often an error in place of the file"
        return Other(what, f"download it again, look at it, and {_AGAIN}")
    if head.startswith(b"\x80") and head[1:2] <= b"\x05":
        return Other("a pickle that torch.save did not write", "save the state_dict() with torch.save")
    if not any(head.strip(b"\x00")):
        return Other("a file of zeros, as an interrupted copy leaves it", _AGAIN)
    if _is_text(head):
        beginning = head[:40].decode("utf-8", "replace").split("\n")[0]
        return Other(f"a text file (it begins with {beginning!r})", _NATIVE)
    return Other(f"no checkpoint (it begins with the bytes {head[:8].hex(' ')})", _NATIVE)


def _is_text(head: bytes) -> bool:
    try:
        # The last character may be cut in two.
        text = head[:-3].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r" for character in text)


def _is_safetensors(head: bytes, size: int) -> bool:
    """The length of a JSON header, then the header: github.com/huggingface/safetensors#format."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size


def _is_onnx(head: bytes) -> bool:
    """A protobuf message that begins with its version, then with the next field of a model: onnx.in.proto."""
    return (
        head[:1] == b"\x08"
        and 1 <= (head + b"\0\0")[1] < 64
        and (head + b"\0\0\0")[2] in b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
    )


def _some(names: Iterable[str]) -> str:
    """Show the first names of a list."""
    names = iter(names)
    shown = [name if len(name) <= 80 else f"{name[:77]}..." for name in itertools.islice(names, _SHOWN)]
    more = sum(1 for _ in names)
    return ", ".join([*shown, f"and {more} more"] if more else shown)
