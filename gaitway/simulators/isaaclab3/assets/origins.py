"""Where assets are, and where those that are missing come from.

Isaac Lab 3.0 reads ISAACSIM_ASSET_ROOT and NEWTON_ASSET_DIR when it is imported (isaaclab/utils/assets.py). An address
there would need NVIDIA's Omniverse client, which is not installed: both are folders with us, and a file that is missing
in one is fetched from the address that the folder is a copy of.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gaitway.contracts.errors import PlatformError

ASSET_ROOT = "ISAACSIM_ASSET_ROOT"
NEWTON_ASSETS = "NEWTON_ASSET_DIR"
SOURCE = "GAITWAY_ASSET_SOURCE"
"""The address to fetch from instead of NVIDIA's bucket: a mirror. Empty: nothing is fetched."""
EFS_ROOT = "GAITWAY_EFS_ROOT"

NVIDIA = "https://omniverse-content-production.s3-us-west-2.amazonaws.com/Assets/Isaac/6.2"
"""NVIDIA's public bucket, as isaaclab/apps/isaaclab.python.kit of Isaac Lab 3.0.0 names it."""
NEWTON = "https://raw.githubusercontent.com/newton-physics/newton-assets/main"
"""As isaaclab/utils/assets.py names it."""


@dataclass(frozen=True)
class Origin:
    """A folder, and the address that it is a copy of."""

    folder: Path
    address: str | None
    """None: nothing is fetched."""

    def name_of(self, path: str) -> PurePosixPath | None:
        """Return a file's path below the folder; None if it is not below it."""
        # What leads out of the folder does not belong to it, whatever it begins with.
        whole = Path(os.path.normpath(path))
        if not whole.is_relative_to(self.folder):
            return None
        return PurePosixPath(whole.relative_to(self.folder).as_posix())


def origins(environment: Mapping[str, str]) -> list[Origin]:
    """List the folders of this process.

    Args:
        environment: Of the process. ISAACSIM_ASSET_ROOT names the folder; without it, it is one on the file system that
            all jobs of the deployment share, so that each asset is fetched once.

    Raises:
        PlatformError: ISAACSIM_ASSET_ROOT is an address, or there is no folder at all.
    """
    root = environment.get(ASSET_ROOT) or _shared(environment)
    if "://" in root:
        raise PlatformError(
            f"{ASSET_ROOT} is {root}: Isaac Lab reads addresses with NVIDIA's Omniverse client only, which is not "
            f"installed. Set it to a folder, and {SOURCE} to the address"
        )
    source = environment.get(SOURCE, NVIDIA).rstrip("/") or None
    newton = environment.get(NEWTON_ASSETS, "")
    if not newton or "://" in newton:
        newton = str(Path(root) / "newton-assets")
    return [
        # The inner folder first.
        Origin(_absolute(newton), NEWTON if source == NVIDIA else source and f"{source}/newton-assets"),
        Origin(_absolute(root), source),
    ]


def set_roots(environment: MutableMapping[str, str]) -> list[Origin]:
    """Tell Isaac Lab where assets are, before it is imported.

    Args:
        environment: Of the process; two variables are set.

    Returns:
        The folders.
    """
    found = origins(environment)
    newton, isaac = found
    environment[ASSET_ROOT], environment[NEWTON_ASSETS] = str(isaac.folder), str(newton.folder)
    return found


def _shared(environment: Mapping[str, str]) -> str:
    if EFS_ROOT not in environment:
        raise PlatformError(f"there is no folder for assets: neither {ASSET_ROOT} nor {EFS_ROOT} is set")
    return str(Path(environment[EFS_ROOT]) / "assets")


def _absolute(path: str) -> Path:
    return Path(os.path.normpath(Path(path).absolute()))
