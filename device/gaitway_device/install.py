"""Carries out an order: installs a version, or goes back to one. Until the last step what is in use stays in use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from gaitway_device.download import Downloads
from gaitway_device.errors import DeviceError, DownloadError, OrderError, StoreError, VersionError
from gaitway_device.store import Store
from gaitway_device.trial import Limits, Trial, try_out
from gaitway_device.version import MANIFEST, MAX_MANIFEST_BYTES, SIGNATURE, Manifest, Reference, Trust, verify

_MAX_SIGNATURE_BYTES = 1024
_PASSING = (DownloadError.__name__, StoreError.__name__)
"""Failures after which the same order may succeed."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Order:
    """What a robot is asked to do: the document of a job.

    Attributes:
        serial: Orders of a fleet are numbered upwards, so that an older one is recognised.
        operation: `roll-back` takes the version from the robot's own disk.
        version: The version that is to be in use.
        files: Addresses, by the names of files; empty for a roll-back.
    """

    serial: int
    operation: Literal["install", "roll-back"]
    version: Reference
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Order:
        """Read a document, as it was received; fields that are not known are ignored.

        Raises:
            OrderError: It is not an order.
        """
        try:
            serial, operation, files = document["serial"], document["operation"], dict(document.get("files", {}))
            version = Reference(document["policy"], document["version"])
        except (KeyError, TypeError, ValueError, VersionError) as error:
            raise OrderError(f"what was received is not an order: {error!r}") from error
        if type(serial) is not int or serial < 1:
            raise OrderError(f"an order has the number {serial!r}, and orders are numbered from 1")
        if operation not in ("install", "roll-back"):
            raise OrderError(f"order {serial} asks for {operation!r}, and this agent can install and roll-back")
        for name, url in files.items():
            if not isinstance(url, str) or not _is_safe(url):
                raise OrderError(f"order {serial} has an address of {name} that is not https")
        return cls(serial, operation, version, files)


@dataclass(frozen=True)
class Outcome:
    """How an order ended.

    Attributes:
        serial: Its number.
        succeeded: Whether the version that it names is in use.
        current: The version in use; None if there is none.
        error: Kind of the failure.
        cause: The failure in words.
        trial: What the trial found, where there was one.
    """

    serial: int
    succeeded: bool
    current: str | None
    error: str | None = None
    cause: str | None = None
    trial: Trial | None = None

    def document(self) -> str:
        """Write it."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, document: str) -> Outcome:
        """Read what `document` wrote, here or in another version of the agent: what is not known is ignored."""
        content = json.loads(document)
        trial = content.get("trial")
        return cls(
            content["serial"],
            content["succeeded"],
            content["current"],
            content.get("error"),
            content.get("cause"),
            Trial(trial["max_abs_difference"], trial["step_p99_seconds"], trial["steps"]) if trial else None,
        )


class Installer:
    """Carries out orders, one after the other.

    Args:
        store: The robot's versions.
        trust: The keys that the robot trusts.
        downloads: Fetches files.
        limits: What the trial of a version may take.
    """

    def __init__(
        self, store: Store, trust: Trust, downloads: Downloads | None = None, limits: Limits | None = None
    ) -> None:
        self._store = store
        self._trust = trust
        self._downloads = downloads or Downloads()
        self._limits = limits or Limits()

    def carry_out(self, order: Order) -> Outcome:
        """Carry out an order; whatever fails, the version in use stays in use.

        An order that comes again gets the same answer. One that a power loss interrupted is carried on, and so is one
        that failed for want of the network or of room on the disk: AWS IoT repeats it where its job says so.

        Raises:
            StoreError: Another process changes the store, or the disk does not keep what is to be remembered: nobody
                can say then how the order ended, and it may come again.
        """
        with self._store.locked():
            try:
                before = self._store.begin(order.serial)
            except OrderError as error:
                return self._failed(order, error)
            if before is not None:
                return Outcome.parse(before)
            try:
                trial = self._bring_into_use(order)
                outcome = Outcome(order.serial, True, str(self._store.current()), trial=trial)
            except (DeviceError, OSError) as error:
                outcome = self._failed(order, error)
            if outcome.error not in _PASSING:
                self._store.finish(outcome.document())
            return outcome

    def _failed(self, order: Order, error: Exception) -> Outcome:
        current = self._store.current()
        kind = type(error).__name__ if isinstance(error, DeviceError) else StoreError.__name__
        return Outcome(order.serial, False, str(current) if current else None, kind, str(error))

    def _bring_into_use(self, order: Order) -> Trial | None:
        trial = None
        if not self._is_there(order):
            trial = self._admit(order)
        self._store.use(order.version)
        return trial

    def _is_there(self, order: Order) -> bool:
        """Whether the robot has the version already, and it was tried here."""
        if not self._store.has(order.version):
            if order.operation == "roll-back":
                there = ", ".join(map(str, self._store.versions())) or "none"
                raise OrderError(f"{order.version} is not on this robot, which has {there}: install it instead")
            return False
        try:
            verify(self._store.directory(order.version), order.version, self._trust)
        except VersionError:
            # The disk has damaged it since: another version can be fetched anew, but not the one in use.
            if order.operation == "roll-back" or order.version == self._store.current():
                raise
            self._store.remove(order.version)
            return False
        return True

    def _admit(self, order: Order) -> Trial:
        try:
            directory = self._fetch(order)
        except VersionError:
            # What a power loss left of an earlier download may be damaged: it is fetched once more from its beginning.
            self._store.discard(order.version)
            directory = self._fetch(order)
        try:
            trial = try_out(directory, self._limits)
        except DeviceError:
            self._store.discard(order.version)
            raise
        self._store.admit(order.version)
        return trial

    def _fetch(self, order: Order) -> Path:
        manifest = self._manifest(order)
        directory = self._store.incoming(order.version, manifest.size)
        for file in manifest.files:
            self._downloads.fetch(_address(order, file.name), directory / file.name, file.size, file.size)
        verify(directory, order.version, self._trust)
        return directory

    def _manifest(self, order: Order) -> Manifest:
        """Fetch manifest and signature, and believe them before anything else is fetched."""
        directory = self._store.incoming(order.version, MAX_MANIFEST_BYTES)
        for name, limit in ((MANIFEST, MAX_MANIFEST_BYTES), (SIGNATURE, _MAX_SIGNATURE_BYTES)):
            self._downloads.fetch(_address(order, name), directory / name, None, limit)
        manifest = self._trust.manifest((directory / MANIFEST).read_bytes(), (directory / SIGNATURE).read_bytes())
        if manifest.reference != order.version:
            raise VersionError(f"{order.version} was asked for, and {manifest.reference} was delivered")
        # Of an earlier delivery under the same name.
        for path in directory.iterdir():
            if path.name not in (MANIFEST, SIGNATURE, *(file.name for file in manifest.files)):
                path.unlink()
        return manifest


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can read the address, which lets its owner read the file, or this machine has it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _address(order: Order, name: str) -> str:
    if name not in order.files:
        raise OrderError(f"order {order.serial} has no address of {name}")
    return order.files[name]
