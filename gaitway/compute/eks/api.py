"""The Kubernetes API, over HTTPS, as a pod sees it.

Four verbs on one kind of object need no client library: the official one brings eight packages, and models that the
server of a later release outgrows. What is returned is checked where it is read.
"""

from __future__ import annotations

import http
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 10.0


class KubernetesError(Exception):
    """The API refused a call, or was not reached.

    Args:
        message: What it said.
        status: HTTP status; None where there was no answer.
        reason: The API's own word for it, as `AlreadyExists`.
    """

    def __init__(self, message: str, status: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_missing(self) -> bool:
        """Whether there is no such object."""
        return self.status == http.HTTPStatus.NOT_FOUND

    @property
    def is_taken(self) -> bool:
        """Whether there is an object of this name already."""
        return self.status == http.HTTPStatus.CONFLICT

    @property
    def is_final(self) -> bool:
        """Whether the same call would be refused again: not where the API is busy, or was not reached."""
        return self.status is not None and self.status < 500 and self.status != http.HTTPStatus.TOO_MANY_REQUESTS


class KubernetesApi:
    """One API server, called as one service account.

    Args:
        url: Its address; a pod has it at https://kubernetes.default.svc.
        service_account: Directory with `token` and `ca.crt`, which the kubelet mounts. The token is read each time: the
            kubelet renews it (kubernetes.io/docs/concepts/storage/projected-volumes).
        timeout_seconds: For one call.
    """

    def __init__(self, url: str, service_account: Path, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._service_account = service_account
        self._timeout_seconds = timeout_seconds

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Call the API.

        Args:
            method: GET, POST or DELETE.
            path: Of the object or collection.
            body: JSON document.
            query: Parameters.

        Returns:
            The answer, a JSON object.

        Raises:
            KubernetesError: It was refused, or there was no answer.
        """
        address = f"{self._url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        try:
            request = urllib.request.Request(  # noqa: S310 - the address is a setting
                address,
                method=method,
                data=json.dumps(body).encode() if body is not None else None,
                headers={
                    "Accept": "application/json",
                    "Authorization": f"Bearer {(self._service_account / 'token').read_text().strip()}",
                    "Content-Type": "application/json",
                },
            )
            with self._opener().open(request, timeout=self._timeout_seconds) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        # HTTP's and TLS's errors among them, and the token's file.
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise KubernetesError(f"the Kubernetes API does not answer at {self._url}: {error}") from error
        if not isinstance(answer, dict):
            raise KubernetesError(f"the Kubernetes API answered {method} {path} with something that is no object")
        return answer

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._url.startswith("https:"):
            context = ssl.create_default_context(cafile=str(self._service_account / "ca.crt"))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        return urllib.request.build_opener(*handlers)


def _refusal(error: urllib.error.HTTPError) -> KubernetesError:
    """Read the `Status` that the API answers: kubernetes.io/docs/reference/kubernetes-api/common-definitions/status."""
    try:
        status = json.load(error)
        message, reason = str(status["message"]), status.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, reason = str(error), None
    return KubernetesError(message, error.code, str(reason) if reason else None)
