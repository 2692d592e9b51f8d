"""The objects of the stand-in, with their versions and their history."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from gaitway.local.kubernetes.kinds import Kind

Object = dict[str, Any]
"""An object of the API, in its own shape."""

_KEPT_CHANGES = 2000


class ApiError(Exception):
    """A request is refused, in the API's words."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Change:
    """A change of an object."""

    version: int
    action: str
    """ADDED, MODIFIED or DELETED."""
    kind: Kind
    object: Object


class Store:
    """All objects. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._version = 0
        self._objects: dict[tuple[Kind, str, str], Object] = {}
        self._changes: deque[Change] = deque(maxlen=_KEPT_CHANGES)

    @property
    def version(self) -> int:
        """The version of the newest change."""
        return self._version

    def create(self, kind: Kind, body: Object) -> Object:
        """Add an object.

        Raises:
            ApiError: There is one of this name.
        """
        with self.changed:
            metadata = body["metadata"]
            key = _key(kind, metadata.get("namespace"), metadata["name"])
            if key in self._objects:
                raise ApiError(
                    HTTPStatus.CONFLICT, "AlreadyExists", f'{kind.resource} "{metadata["name"]}" already exists'
                )
            body = copy.deepcopy(body) | {"apiVersion": kind.version, "kind": kind.name}
            body["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
            return self._keep(key, body, "ADDED")

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Return an object.

        Raises:
            ApiError: There is none.
        """
        found = self.find(kind, namespace, name)
        if found is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f'{kind.resource} "{name}" not found')
        return found

    def find(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """Return an object; None where there is none."""
        with self.changed:
            return copy.deepcopy(self._objects.get(_key(kind, namespace, name)))

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, in the order in which they were created."""
        with self.changed:
            return [
                copy.deepcopy(body)
                for (of, where, _), body in self._objects.items()
                if of == kind and namespace in (None, where)
            ]

    def change(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        edit: Callable[[Object], None],
        version: str | None = None,
        uid: str | None = None,
    ) -> Object:
        """Change an object; nothing happens where the edit changes nothing.

        Args:
            kind: Its kind.
            namespace: Its namespace.
            name: Its name.
            edit: Changes what it is given.
            version: The version that the object must have.
            uid: The uid that it must have: another object may have got its name.

        Raises:
            ApiError: There is none, or it has another version, or another uid.
        """
        with self.changed:
            old = self.get(kind, namespace, name)
            _check_uid(kind, old, uid)
            if version not in (None, old["metadata"]["resourceVersion"]):
                raise ApiError(
                    HTTPStatus.CONFLICT,
                    "Conflict",
                    f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; please '
                    "apply your changes to the latest version and try again",
                )
            new = copy.deepcopy(old)
            edit(new)
            if new == old:
                return old
            if new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] = old["metadata"]["generation"] + 1
            return self._keep(_key(kind, namespace, name), new, "MODIFIED")

    def delete(self, kind: Kind, namespace: str | None, name: str, uid: str | None = None) -> Object:
        """Remove an object.

        Raises:
            ApiError: There is none, or it has another uid.
        """
        with self.changed:
            body = self.get(kind, namespace, name)
            _check_uid(kind, body, uid)
            return self._keep(_key(kind, namespace, name), body, "DELETED")

    def changes_since(self, version: int) -> list[Change]:
        """Return the changes after a version.

        Raises:
            ApiError: It is so old that they are not known any more.
        """
        with self.changed:
            if self._changes and version < self._changes[0].version - 1:
                raise ApiError(
                    HTTPStatus.GONE,
                    "Expired",
                    f"too old resource version: {version} ({self._changes[0].version - 1})",
                )
            return [change for change in self._changes if change.version > version]

    def follow(self, version: int, until: float) -> Iterator[Change]:
        """Yield the changes after a version as they come, until a moment of the monotonic clock."""
        while True:
            with self.changed:
                changes = self.changes_since(version)
                if not changes:
                    left = until - time.monotonic()
                    if left <= 0:
                        return
                    self.changed.wait(left)
                    continue
            for change in changes:
                version = change.version
                yield change

    def _keep(self, key: tuple[Kind, str, str], body: Object, action: str) -> Object:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        if action == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = body
        self._changes.append(Change(self._version, action, key[0], copy.deepcopy(body)))
        self.changed.notify_all()
        return copy.deepcopy(body)


def _check_uid(kind: Kind, body: Object, uid: str | None) -> None:
    """kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/, `preconditions`."""
    metadata = body["metadata"]
    if uid not in (None, metadata["uid"]):
        raise ApiError(
            HTTPStatus.CONFLICT,
            "Conflict",
            f'Operation cannot be fulfilled on {kind.resource} "{metadata["name"]}": Precondition failed: UID in '
            f"precondition: {uid}, UID in object meta: {metadata['uid']}",
        )


def now() -> str:
    """Return the time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(kind: Kind, namespace: str | None, name: str) -> tuple[Kind, str, str]:
    return kind, namespace or "", name
