"""Which content type a file has in S3: a table of ours, since that of Python also reads the machine's own.

A machine's /etc/mime.types may call a checkpoint `application/vnd.snesdev-page-table`. The types are registered at
www.iana.org/assignments/media-types; what is not listed there is bytes.
"""

from __future__ import annotations

from pathlib import PurePosixPath

_TEXT = "text/plain; charset=utf-8"
_BY_SUFFIX = {
    ".csv": "text/csv; charset=utf-8",
    ".diff": _TEXT,
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".log": _TEXT,
    ".md": "text/markdown; charset=utf-8",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": _TEXT,
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}
_BYTES = "application/octet-stream"


def content_type_of(name: str) -> str:
    """Look a file's content type up by how its name ends, in capitals or not."""
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), _BYTES)
