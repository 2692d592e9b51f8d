"""Which releases are installed: the one place where versions are collected."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of those distributions that this process finds, without importing them."""
    versions = {"python": platform.python_version()}
    for name in sorted(set(distributions)):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
