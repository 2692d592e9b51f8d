"""Who may do what: service accounts and their roles, as far as our manifests use them.

kubernetes.io/docs/reference/access-authn-authz/rbac
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from http import HTTPStatus

from gaitway.local.kubernetes.kinds import ROLE, ROLE_BINDING, Kind
from gaitway.local.kubernetes.store import ApiError, Object, Store


@dataclass(frozen=True)
class User:
    """The caller of the API."""

    name: str
    is_admin: bool = False
    namespace: str | None = None
    """Of the service account."""
    account: str | None = None


class Access:
    """The tokens that were given out, and what their owners may do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._users: dict[str, User] = {}

    def admin_token(self) -> str:
        """Give out a token with all rights."""
        return self._give(User("kubernetes-admin", is_admin=True))

    def account_token(self, namespace: str, account: str) -> str:
        """Give out a token of a service account, as the kubelet does for a pod."""
        return self._give(User(f"system:serviceaccount:{namespace}:{account}", namespace=namespace, account=account))

    def user_of(self, header: str | None) -> User:
        """Return who calls.

        Args:
            header: The header `Authorization`.

        Raises:
            ApiError: Nobody that is known.
        """
        scheme, _, token = (header or "").partition(" ")
        with self._lock:
            user = self._users.get(token) if scheme == "Bearer" else None
        if user is None:
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
        return user

    def check(self, user: User, verb: str, kind: Kind, namespace: str | None, subresource: str | None) -> None:
        """Refuse what no role of the user allows.

        Raises:
            ApiError: It is not allowed.
        """
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        if user.is_admin or any(
            kind.group in rule.get("apiGroups", ()) and resource in rule["resources"] and verb in rule["verbs"]
            for role in self._roles(user, namespace)
            for rule in role.get("rules") or ()
        ):
            return
        where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "Forbidden",
            f'{kind.resource} is forbidden: User "{user.name}" cannot {verb} resource "{resource}" in API group '
            f'"{kind.group}"{where}',
        )

    def _roles(self, user: User, namespace: str | None) -> list[Object]:
        if namespace is None:
            return []
        subject = {"kind": "ServiceAccount", "name": user.account, "namespace": user.namespace}
        bound = [
            binding["roleRef"]["name"]
            for binding in self._store.all(ROLE_BINDING, namespace)
            if subject in (binding.get("subjects") or ())
        ]
        return [role for role in self._store.all(ROLE, namespace) if role["metadata"]["name"] in bound]

    def _give(self, user: User) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._users[token] = user
        return token
