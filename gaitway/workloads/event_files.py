"""The records of TensorBoard's event files, as far as they are right.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details. TensorBoard's own reader
computes each checksum in Python, byte by byte, which takes minutes for a long training; here all records of a block are
checked side by side.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_BLOCK = 20_000
"""Records that are checked together."""
_MOST_CHECKED_BYTES = 2_048
"""Scalars are smaller; what is larger (pictures, graphs) is left out of the metrics anyhow."""
_POLYNOMIAL = 0x82F63B78
"""Of CRC-32C, reflected: RFC 3720, appendix B.4."""
_MASK = 0xA282EAD8


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_TABLE = _table()
_NUMBERS: list[int] = _TABLE.tolist()


def records(path: Path, note: Callable[[str], None]) -> Iterator[bytes]:
    """Yield the records of an event file whose checksums are right.

    Args:
        path: The file. Its end may be missing: then its process was killed, or still writes it.
        note: Receives what is wrong with the file, in words.
    """
    try:
        with path.open("rb") as file:
            framed = _framed(file, path.stat().st_size, note)
            while block := list(islice(framed, _BLOCK)):
                found = checksums([data for data, _ in block])
                for (data, checksum), right in zip(block, found, strict=True):
                    if checksum == right or len(data) > _MOST_CHECKED_BYTES:
                        yield data
                    else:
                        note("a record in it has a wrong checksum, and is left out")
    except OSError as error:
        note(f"it cannot be read ({error.strerror})")


def checksums(texts: Sequence[bytes]) -> list[int]:
    """Compute the masked CRC-32C of each text, of long ones only that of their beginning.

    Masked as in https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
    """
    lengths = np.array([min(len(text), _MOST_CHECKED_BYTES) for text in texts])
    order = np.argsort(-lengths, kind="stable")
    descending = lengths[order]
    data = np.frombuffer(b"".join(text[:_MOST_CHECKED_BYTES] for text in texts), dtype=np.uint8)
    starts = (np.cumsum(lengths) - lengths)[order]
    crc = np.full(len(texts), 0xFFFFFFFF, dtype=np.uint32)
    for position in range(int(descending[0]) if len(texts) else 0):
        # The longest come first, so that those that have this byte are a slice.
        count = int(np.searchsorted(-descending, -position))
        crc[:count] = _TABLE[(crc[:count] ^ data[starts[:count] + position]) & 0xFF] ^ (crc[:count] >> 8)
    crc = ~crc
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK)
    computed = np.empty_like(masked)
    computed[order] = masked
    return [int(value) for value in computed]


def _framed(file: IO[bytes], left: int, note: Callable[[str], None]) -> Iterator[tuple[bytes, int]]:
    """Yield data and checksum of each record; after a damaged length no other one can be found."""
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        if _checksum(header[:8]) != checksum:
            note("from some place on it is not an event file, and what follows is left out")
            return
        left -= _HEADER.size + length + _FOOTER.size
        if left < 0:
            return
        data = file.read(length)
        yield data, _FOOTER.unpack(file.read(_FOOTER.size))[0]


def _checksum(text: bytes) -> int:
    """Compute the same for a few bytes, for which numpy takes longer."""
    crc = 0xFFFFFFFF
    for byte in text:
        crc = _NUMBERS[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF
