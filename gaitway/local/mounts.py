"""Mount points on this machine.

A process has no mount namespace of its own, so a mount point cannot appear at its path. Instead each environment value
and each argument that begins with that path is rewritten to begin with a directory of this machine.
"""

from collections.abc import Mapping
from pathlib import Path


def rewrite(text: str, directories: Mapping[str, Path | str]) -> str:
    """Replace the mount point at the beginning of a text by its directory.

    Args:
        text: A path, or anything else.
        directories: By mount point, without a slash at its end; the longest first, because one may be inside another.
    """
    for mount_point, directory in directories.items():
        if text == mount_point or text.startswith(f"{mount_point}/"):
            return f"{directory}{text.removeprefix(mount_point)}"
    return text
