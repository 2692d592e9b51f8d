"""The versions that a robot has on its disk, of which one is in use.

    current             link to the version in use
    versions/NAME/      whole versions that were verified and tried here
    incoming/NAME/      what is being fetched; it stays after a power loss, so that a download can go on
    state.json          which versions were in use, and the newest order

What `current` leads to is always a whole version: it is moved only after the new version is on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gaitway_device import durable
from gaitway_device.errors import OrderError, StoreError, VersionError
from gaitway_device.version import Reference

CURRENT = "current"
_VERSIONS, _INCOMING, _STATE, _LOCK = "versions", "incoming", "state.json", "lock"
_LEAVING = ".leaving"
"""Ending of a version that is being deleted: it is not whole any more."""
_RESERVE_BYTES = 64 << 20
"""What stays free beside a new version, for logs and for the robot's own programs."""


@dataclass(frozen=True)
class State:
    """What is remembered beside the versions.

    Attributes:
        serial: Number of the newest order that was begun; orders of a fleet are numbered upwards.
        outcome: How it ended; None while it is carried out.
        used: Names of the versions that were in use, the newest first.
    """

    serial: int = 0
    outcome: str | None = None
    used: tuple[str, ...] = ()


class Store:
    """The store in a directory. One process changes it at a time; any number may read it.

    Args:
        root: The directory; it is made if it is not there.
        keep: How many versions stay, that in use among them, so that it can be rolled back to without a network.
    """

    def __init__(self, root: Path, keep: int = 3) -> None:
        if keep < 2:
            raise StoreError(f"a robot keeps {keep} versions, but without a second one it could not be rolled back")
        self.root = root
        self._keep = keep

    # Reading

    def current(self) -> Reference | None:
        """Return the version in use; None if there never was one."""
        try:
            return Reference.parse((self.root / CURRENT).readlink().name)
        except (FileNotFoundError, VersionError):
            return None

    def versions(self) -> list[Reference]:
        """List the whole versions: first the one in use, then by when they were last in use."""
        found = []
        for path in self._directories(_VERSIONS):
            # What somebody else has put there is left alone.
            with contextlib.suppress(VersionError):
                found.append(Reference.parse(path.name))
        order = {name: place for place, name in enumerate(self.state().used)}
        current = self.current()
        return sorted(found, key=lambda one: (one != current, order.get(str(one), len(order)), str(one)))

    def has(self, version: Reference) -> bool:
        """Whether a version is there as a whole."""
        return self.directory(version).is_dir()

    def directory(self, version: Reference) -> Path:
        """Return the directory of a whole version."""
        return self.root / _VERSIONS / str(version)

    def state(self) -> State:
        """Read what is remembered. A damaged file is as none: the versions and the link are still there."""
        try:
            content = json.loads((self.root / _STATE).read_bytes())
            outcome = content["outcome"]
            return State(int(content["serial"]), outcome and str(outcome), tuple(map(str, content["used"])))
        except (OSError, ValueError, KeyError, TypeError):
            return State()

    # Changing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that changes the store; what a power loss has left half done is removed first.

        Raises:
            StoreError: Another process changes it, or the disk does not let this one.
        """
        try:
            for name in (_VERSIONS, _INCOMING):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with (self.root / _LOCK).open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise StoreError(f"another process changes {self.root}: two agents on one robot?") from error
                for path in (self.root / _VERSIONS).glob(f"*{_LEAVING}"):
                    shutil.rmtree(path)
                yield
        except OSError as error:
            raise StoreError(f"the robot's disk refuses what an installation needs: {error}") from error

    def begin(self, serial: int) -> str | None:
        """Begin an order, or go on with it.

        Returns:
            Its outcome, if it was carried out before: it came twice, or the answer was lost.

        Raises:
            OrderError: A newer one was begun.
        """
        state = self.state()
        if serial < state.serial:
            raise OrderError(f"order {serial} is older than order {state.serial}, which this robot has begun")
        if serial == state.serial:
            return state.outcome
        self._remember(replace(state, serial=serial, outcome=None))
        return None

    def finish(self, outcome: str) -> None:
        """Remember how the newest order ended."""
        self._remember(replace(self.state(), outcome=outcome))

    def incoming(self, version: Reference, size: int) -> Path:
        """Return the directory into which a version is fetched, as far as it has come.

        Args:
            version: Its name.
            size: Bytes of all its files.

        Raises:
            StoreError: The disk has no room for it.
        """
        for path in self._directories(_INCOMING):
            if path.name != str(version):
                shutil.rmtree(path)
        directory = self.root / _INCOMING / str(version)
        directory.mkdir(exist_ok=True)
        there = sum(path.stat().st_size for path in directory.iterdir())
        free = shutil.disk_usage(self.root).free
        if free < size - there + _RESERVE_BYTES:
            raise StoreError(
                f"{version} needs {size - there} bytes and {_RESERVE_BYTES} beside them, and {free} are free: make "
                "room on this robot"
            )
        return directory

    def discard(self, version: Reference) -> None:
        """Forget what was fetched of a version, since it is not what it should be."""
        shutil.rmtree(self.root / _INCOMING / str(version), ignore_errors=True)

    def admit(self, version: Reference) -> None:
        """Let what was fetched, verified and tried be a whole version."""
        source, target = self.root / _INCOMING / str(version), self.directory(version)
        durable.synchronise_all(source)
        durable.move(source, target)

    def remove(self, version: Reference) -> None:
        """Delete a version that is not in use."""
        assert version != self.current()
        leaving = self.directory(version).with_name(f"{version}{_LEAVING}")
        durable.move(self.directory(version), leaving)
        shutil.rmtree(leaving)

    def use(self, version: Reference) -> None:
        """Bring a whole version into use, and delete those that have not been in use for longest."""
        assert self.has(version)
        durable.link(self.root / CURRENT, str(self.directory(version).relative_to(self.root)))
        state = self.state()
        used = (str(version), *(name for name in state.used if name != str(version)))
        self._remember(replace(state, used=used[: self._keep]))
        for unused in self.versions()[self._keep :]:
            self.remove(unused)

    def _remember(self, state: State) -> None:
        durable.write(self.root / _STATE, json.dumps(asdict(state)).encode())

    def _directories(self, kind: str) -> list[Path]:
        try:
            with os.scandir(self.root / kind) as found:
                return [Path(entry.path) for entry in found if entry.is_dir() and not entry.name.endswith(_LEAVING)]
        except FileNotFoundError:
            return []
