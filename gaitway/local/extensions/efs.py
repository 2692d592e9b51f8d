"""File systems of the embedded AWS: each is a directory of this machine.

A process has no mount namespace of its own, so a mount point cannot appear at its path. Instead each environment value
and each argument that begins with that path is rewritten to begin with the directory instead.
"""

from collections.abc import Mapping
from pathlib import Path

from gaitway.local.runtime import Runtime
from gaitway.local.services import access_point_path


def directory_of(runtime: Runtime, file_system: str, *, access_point: str | None = None, root: str = "/") -> Path:
    """Return the directory that represents a file system, or the part that an access point shows of it.

    Args:
        runtime: The emulator.
        file_system: Id of the file system.
        access_point: Id of the access point.
        root: Directory in the file system, if there is no access point.
    """
    path = access_point_path(access_point) if access_point else root
    directory = runtime.state_directory / "efs" / file_system / path.strip("/")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def rewrite(text: str, directories: Mapping[str, Path]) -> str:
    """Replace the mount point at the beginning of a text by its directory.

    Args:
        text: A path, or anything else.
        directories: By mount point, without a slash at its end; the longest first, because one may be inside another.
    """
    for mount_point, directory in directories.items():
        if text == mount_point or text.startswith(f"{mount_point}/"):
            return f"{directory}{text.removeprefix(mount_point)}"
    return text
