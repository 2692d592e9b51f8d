"""Before training: every asset that a task names is there, is fetched, or is an error in words.

Without this a missing file ends in `ModuleNotFoundError: No module named 'omni'`: isaaclab/utils/assets.py asks
NVIDIA's Omniverse client for whatever is not on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gaitway.contracts.errors import PlatformError
from gaitway.simulators.isaaclab3.assets.download import UnreachableError, fetch
from gaitway.simulators.isaaclab3.assets.origins import ASSET_ROOT, Origin

logger = logging.getLogger(__name__)

_LOOKS = {".exr", ".hdr", ".jpeg", ".jpg", ".mdl", ".png", ".tga"}
"""Skies, textures and materials: a task is the same without them."""
_NO_REVISION = {"hash": "", "version": "", "size": 0, "modified_time": ""}


class Assets:
    """The assets of one process."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        self._origins = origins
        self._absent: set[Path] = set()
        self._unreachable: UnreachableError | None = None
        self.fetched: list[Path] = []
        """In the order in which they were fetched."""

    def watch(self) -> None:
        """From here on we answer where Isaac Lab searches for a file that is not on the disk, be it a texture."""
        from isaaclab.utils import assets

        assets._remote_fingerprint = lambda path: _NO_REVISION if self.provide(path) else None
        assets._get_omni_client = _refuse_addresses

    def provide(self, path: str) -> bool:
        """Fetch a file unless it is there.

        Args:
            path: As Isaac Lab names it.

        Returns:
            Whether it is there now.

        Raises:
            StorageError: The folder cannot be written to.
        """
        if Path(path).is_file():
            return True
        for origin in self._origins:
            name = origin.name_of(path)
            if name is not None:
                return self._fetch(origin, origin.folder / name, str(name))
        return False

    def require(self, task: str, config: object) -> list[str]:
        """Look for everything that a task's configuration names, with what that refers to; fetch what is missing.

        Args:
            task: Name of the task, for the message.
            config: Of its environment, as Isaac Lab's registry gives it, with presets and overrides applied.

        Returns:
            The files named in the configuration.

        Raises:
            PlatformError: Files are neither there nor fetched; the message names them, and says what to do.
        """
        from isaaclab.utils.assets import retrieve_file_path

        named = sorted({*self._named(config), *self._grounds()})
        absent = [path for path in named if not self.provide(path)]
        missing = [path for path in absent if Path(path).suffix not in _LOOKS]
        for path in set(absent) - set(missing):
            logger.warning("the asset %s is not there: pictures look different without it", path)
        if missing:
            raise PlatformError(self._explanation(task, missing))
        with self.explained(task):
            for path in set(named) - set(absent):
                # It follows what a USD file refers to; each of those is optional, as USD itself takes it.
                retrieve_file_path(path)
        return named

    @contextmanager
    def explained(self, task: str) -> Iterator[None]:
        """Within this, an asset that the task's code names, and that is missing, is an error in words, too.

        Raises:
            PlatformError: Instead of FileNotFoundError for a file that belongs to the assets.
        """
        try:
            yield
        except FileNotFoundError as error:
            absent = [str(path) for path in self._absent if str(path) in str(error)]
            if not absent:
                absent = [word for word in str(error).split() if any(origin.name_of(word) for origin in self._origins)]
            if not absent:
                raise
            raise PlatformError(self._explanation(task, absent)) from error

    def _fetch(self, origin: Origin, path: Path, name: str) -> bool:
        if origin.address is None or path in self._absent or self._unreachable:
            return False
        try:
            there = fetch(f"{origin.address}/{name}", path)
        except UnreachableError as error:
            self._unreachable = error
            return False
        if there:
            logger.info("asset %s was fetched from %s", name, origin.address)
            self.fetched.append(path)
        else:
            self._absent.add(path)
        return there

    def _named(self, config: object) -> Iterator[str]:
        for text in _texts(config, set()):
            if Path(text).suffix and any(origin.name_of(text) for origin in self._origins):
                yield text

    def _grounds(self) -> list[str]:
        """Direct tasks name their ground in their code only: nearly all have the usual one."""
        from isaaclab.sim.spawners.from_files import GroundPlaneCfg

        return [GroundPlaneCfg().usd_path]

    def _explanation(self, task: str, missing: Sequence[str]) -> str:
        isaac = self._origins[-1]
        names = ", ".join(str(isaac.name_of(path) or path) for path in sorted(missing))
        why = (
            "nothing is fetched here"
            if isaac.address is None
            else str(self._unreachable or f"{isaac.address} has no such file")
        )
        return (
            f"the task {task} needs assets that are not in {isaac.folder} ({ASSET_ROOT}): {names}; and {why}. Where "
            f"there is internet, `gaitway assets pull {task} --into {isaac.folder}` fetches all that the task needs. A "
            "custom environment can bring its own USD files in its package"
        )


def _texts(value: Any, seen: set[int]) -> Iterator[str]:  # noqa: ANN401 - whatever a configuration holds
    """List every text in a configuration, however deep."""
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, (type, ModuleType)) or callable(value) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        inner: list[Any] = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    else:
        inner = list(getattr(value, "__dict__", {}).values())
    for one in inner:
        yield from _texts(one, seen)


def _refuse_addresses() -> None:
    raise PlatformError(
        "an asset is named by an address, and Isaac Lab without Isaac Sim reads files only: put the file into the "
        "package of the custom environment, or below the root of the assets"
    )
