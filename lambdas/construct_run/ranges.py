"""An object of S3 as a file that can be read anywhere, by ranged requests: a large object is looked at, not fetched."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from types_boto3_s3 import S3Client

    from gaitway.contracts.model import S3Uri

BLOCK_BYTES = 65_536
"""Of one request. The directory of a checkpoint's archive, at its end, is usually within one."""
MAX_BYTES = 16 * 1024**2
"""Of all requests for one object: more than any checkpoint needs, and what a function has memory for."""


def open_ranges(s3: S3Client, uri: S3Uri, size: int, *, exceeded: type[Exception] = ValueError) -> io.BufferedReader:
    """Open an object.

    Args:
        s3: An S3 client.
        uri: The object.
        size: Its bytes.
        exceeded: Raised once more than `MAX_BYTES` are read.
    """
    return io.BufferedReader(_Ranges(s3, uri, size, exceeded), BLOCK_BYTES)


class _Ranges(io.RawIOBase):
    def __init__(self, s3: S3Client, uri: S3Uri, size: int, exceeded: type[Exception]) -> None:
        super().__init__()
        self._s3, self._uri, self._size = s3, uri, size
        self._exceeded = exceeded
        self._position = self._read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("it is too short")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer)
        count = min(len(target), self._size - self._position)
        if count <= 0:
            return 0
        self._read += count
        if self._read > MAX_BYTES:
            raise self._exceeded(f"more than {MAX_BYTES} bytes of it describe the rest")
        until = self._position + count - 1
        answer = self._s3.get_object(
            Bucket=self._uri.bucket, Key=self._uri.key, Range=f"bytes={self._position}-{until}"
        )
        data = answer["Body"].read()
        target[: len(data)] = data
        self._position += len(data)
        return len(data)
