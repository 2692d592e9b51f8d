"""Which sources a deployment is made of: two that have the same version do the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).parents[1]

STACK_SOURCES = (
    "app.py",
    "cdk.json",
    "constraints.txt",
    "gaitway/aws",
    "gaitway/contracts",
    "gaitway/instance_prices.json",
    "gaitway/instance_prices.py",
    "gaitway/instance_types.json",
    "gaitway/instance_types.py",
    "gaitway/outputs",
    "gaitway/report",
    "gaitway/settings.py",
    "gaitway/version.py",
    "gaitway/words.py",
    "lambdas",
    "package-lock.json",
    "requirements.txt",
    "stacks",
    "statemachines",
)
"""Everything from which templates and functions are made, but for the settings."""
IMAGE_SOURCES = ("container",)
"""What the job's image holds beside that."""


@cache
def checkout_version() -> str:
    """Name this checkout: the release, and what tells its sources from others, as in `0.1.0+3f2a91c4`."""
    return f"{version('gaitway')}+{digest_of((*STACK_SOURCES, *IMAGE_SOURCES))[:8]}"


def digest_of(sources: Sequence[str]) -> str:
    """Digest files, with their names, and directories with all that is in them.

    Args:
        sources: Relative to the repository; one that does not exist is left out.
    """
    digest = hashlib.sha256()
    for path in _files(sources):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(sources: Sequence[str]) -> Iterator[Path]:
    for source in sources:
        path = _ROOT / source
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        elif path.exists():
            yield path
