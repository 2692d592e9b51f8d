"""File systems of the embedded AWS: each is a directory of this machine (gaitway/local/mounts.py)."""

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
