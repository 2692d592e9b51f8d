"""Which sources a deployment is made of: two that have the same version do the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from gaitway.installation import REPOSITORY_ROOT, is_checkout
from gaitway.sources import IMAGE, STACKS


@cache
def checkout_version() -> str:
    """Name this checkout: the release, and what tells its sources from others, as in `0.1.0+3f2a91c4`.

    An installed package has no sources of a deployment, and is named by its release alone.
    """
    return f"{version('gaitway')}+{digest_of({*STACKS, *IMAGE})[:8]}" if is_checkout() else version("gaitway")


def digest_of(sources: Iterable[str]) -> str:
    """Digest files, with their names, and directories with all that is in them.

    Args:
        sources: Relative to the repository; one that does not exist is left out.
    """
    digest = hashlib.sha256()
    for path in _files(sources):
        digest.update(str(path.relative_to(REPOSITORY_ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(sources: Iterable[str]) -> Iterator[Path]:
    for source in sources:
        path = REPOSITORY_ROOT / source
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        elif path.exists():
            yield path
