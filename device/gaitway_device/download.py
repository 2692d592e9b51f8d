"""Fetches files over a network that fails."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from gaitway_device.errors import DownloadError, StoreError

_CHUNK_BYTES = 1 << 18
_GONE = (400, 401, 403, 404, 410)
"""S3 answers so where an address was never right, or is no longer: another try with the same one is in vain.
docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
_NOTHING_LEFT = 416


class Downloads:
    """Fetches files, again and again, from where it was interrupted.

    Args:
        attempts: In a row without a new byte.
        timeout_seconds: Of a connection, and of each wait for bytes.
        pause: Waits for a number of seconds between attempts.
    """

    def __init__(
        self, attempts: int = 8, timeout_seconds: float = 30, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._attempts = attempts
        self._timeout_seconds = timeout_seconds
        self._pause = pause

    def fetch(self, url: str, path: Path, size: int | None, limit: int) -> None:
        """Fetch a file; what is there of it is taken as its beginning.

        Args:
            url: Its address, which allows ranges, as S3 does.
            path: Becomes the file.
            size: Bytes that it has; None if that is not known, and then it is fetched from its beginning.
            limit: The most bytes that are written, whatever the server sends.

        Raises:
            DownloadError: It could not be fetched.
            StoreError: The disk is full.
        """
        if size is None or (path.exists() and path.stat().st_size > size):
            path.unlink(missing_ok=True)
        failed = 0
        while True:
            before = path.stat().st_size if path.exists() else 0
            if before == size:
                path.touch()
                return
            try:
                is_whole = self._go_on(url, path, before, limit if size is None else size)
            except urllib.error.HTTPError as error:
                if error.code in _GONE:
                    raise DownloadError(
                        f"{path.name} is not there ({error.code} {error.reason}): the address in the order may have "
                        "expired; order it again"
                    ) from None
                if error.code == _NOTHING_LEFT:
                    path.unlink(missing_ok=True)
                why = f"{error.code} {error.reason}"
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or repr(error)
            else:
                if is_whole and size is None:
                    return
                why = f"the connection ended after {path.stat().st_size} bytes"
            after = path.stat().st_size if path.exists() else 0
            if after == size:
                return
            failed = 0 if after > before else failed + 1
            if failed >= self._attempts:
                raise DownloadError(f"{path.name} could not be fetched in {failed} attempts: {why}")
            self._pause(min(2.0**failed, 60.0))

    def _go_on(self, url: str, path: Path, start: int, limit: int) -> bool:
        """Fetch from a byte on; return whether the server sent all that it announced."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was looked at
        with urllib.request.urlopen(request, timeout=self._timeout_seconds) as answer:  # noqa: S310
            is_rest = start > 0 and answer.status == http.client.PARTIAL_CONTENT
            written = start if is_rest else 0
            with path.open("ab" if is_rest else "wb") as file:
                while chunk := answer.read(_CHUNK_BYTES):
                    written += len(chunk)
                    if written > limit:
                        raise DownloadError(f"{path.name} has more than the {limit} bytes that it should have")
                    try:
                        file.write(chunk)
                        file.flush()
                    except OSError as error:
                        raise StoreError(f"the robot's disk does not take {path.name}: {error}") from error
            length = answer.length
        return not length
