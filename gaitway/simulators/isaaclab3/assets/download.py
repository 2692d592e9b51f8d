"""Fetch one file into a folder that others may read and write at the same time."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

from gaitway.contracts.errors import StorageError

_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = 20.0
_ABSENT = {403, 404, 410}
"""S3 answers 403 for a key that does not exist where the caller may not list the bucket:
docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html."""


class UnreachableError(Exception):
    """The address does not answer, or not as a server of files does."""


def fetch(address: str, path: Path) -> bool:
    """Fetch a file; it appears whole or not at all, and two processes may do it at the same time.

    Args:
        address: http or https, as it is named: what needs quoting is quoted here.
        path: Where it goes; its folders are made.

    Returns:
        Whether there is such a file.

    Raises:
        UnreachableError: The server cannot be reached, or answers something else, three times.
        StorageError: The folder cannot be written to.
    """
    quoted = quote(address, safe=":/%")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _fetch_once(quoted, path)
        except urllib.error.HTTPError as error:
            if error.code in _ABSENT:
                return False
            reason, is_final = f"{error.code} {error.reason}", error.code < 500 and error.code != 429
        except urllib.error.URLError as error:
            # Where there is no internet, another attempt costs another time-out.
            reason, is_final = str(error.reason), True
        except (ConnectionError, TimeoutError, _ShortError) as error:
            reason, is_final = str(error), False
        except OSError as error:
            raise StorageError(f"the asset {path} cannot be written: {error}") from error
        if is_final or attempt == _ATTEMPTS:
            raise UnreachableError(f"{address} could not be fetched: {reason}")
        time.sleep(_PAUSE_SECONDS * attempt)
    raise AssertionError


class _ShortError(Exception):
    pass


def _fetch_once(address: str, path: Path) -> bool:
    if not address.startswith(("http://", "https://")):
        raise UnreachableError(f"{address} is no address that starts with http:// or https://")
    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - looked at above
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            with part.open("wb") as file:
                shutil.copyfileobj(answer, file)
            expected = answer.headers.get("Content-Length")
            if expected is not None and part.stat().st_size != int(expected):
                raise _ShortError(f"{part.stat().st_size} of {expected} bytes arrived")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return True
