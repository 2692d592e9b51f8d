"""What happens to a request before its object is kept: reading, validation, webhooks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from gaitway.local.kubernetes.kinds import DEPLOYMENT, NAMESPACE, PYTORCH_JOB, Kind
from gaitway.local.kubernetes.kueue import suspended
from gaitway.local.kubernetes.schema import unknown_fields, wrong_values
from gaitway.local.kubernetes.selectors import matches
from gaitway.local.kubernetes.store import ApiError, Object, Store

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""kubernetes.io/docs/concepts/overview/working-with-objects/names"""
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Request:
    """A request, as its path and its parameters say."""

    def __init__(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str | None,
        subresource: str | None,
        query: Mapping[str, str],
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.subresource = subresource
        self.query = query
        is_watch = query.get("watch", "").lower() in ("true", "1")
        reading = "get" if name is not None else "watch" if is_watch else "list"
        self.verb = _VERBS.get(method, reading)
        self.is_dry = query.get("dryRun") == "All"

    def selects(self, body: Object) -> bool:
        """Return whether the request asks for an object."""
        return matches(body, self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))


def read(body: bytes) -> Object:
    """Read a request's document.

    Raises:
        ApiError: It is none.
    """
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", f"the request is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", "the request is no object")
    return document


def checked(document: Object, request: Request, store: Store) -> Object:
    """Validate an object that is created or changed, and let the webhooks change it.

    Raises:
        ApiError: It is not valid.
    """
    kind = request.kind
    if kind.model is None:
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            f"the stand-in has {kind.resource} to read only: there is no published schema to check one with",
        )
    if (document.get("apiVersion"), document.get("kind")) != (kind.version, kind.name):
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "BadRequest",
            f"{document.get('apiVersion')} {document.get('kind')} is not the expected {kind.version} {kind.name}",
        )
    metadata = document.setdefault("metadata", {})
    if kind.is_namespaced:
        if request.namespace is None or store.find(NAMESPACE, None, request.namespace) is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f'namespaces "{request.namespace}" not found')
        if metadata.setdefault("namespace", request.namespace) != request.namespace:
            raise ApiError(
                HTTPStatus.BAD_REQUEST,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
            )
    unknown = unknown_fields(document, kind.model)
    if unknown:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "BadRequest",
            f'{kind.name} in version "{kind.version.rpartition("/")[2]}" cannot be handled as a {kind.name}: strict '
            "decoding error: " + ", ".join(f'unknown field "{field}"' for field in unknown),
        )
    name = metadata.get("name")
    wrong = wrong_values(document, kind.model)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 253:
        wrong.append(f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain is required")
    if kind == PYTORCH_JOB and not wrong:
        wrong += _wrong_job(document)
    if kind == DEPLOYMENT and not wrong:
        wrong += _wrong_deployment(document)
    if wrong:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Invalid",
            f'{kind.name}{"." if kind.group else ""}{kind.group} "{name}" is invalid: {"; ".join(wrong)}',
        )
    if kind == PYTORCH_JOB and request.verb == "create":
        suspended(document)
    document.pop("status", None) if request.subresource != "status" else None
    return document


def _wrong_job(job: Object) -> list[str]:
    """Check what the operator's webhook does.

    github.com/kubeflow/training-operator/blob/v1.9.3/pkg/webhooks/pytorch/pytorchjob_webhook.go
    """
    specs, wrong = job["spec"].get("pytorchReplicaSpecs") or {}, []
    where = "spec.pytorchReplicaSpecs"
    if not specs:
        wrong.append(f"{where}: Required value: must be specified")
    for kind, spec in specs.items():
        if kind not in ("Master", "Worker"):
            wrong.append(f"{where}: Unsupported value: {kind!r}: supported values: 'Master', 'Worker'")
        containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
        if not any(container.get("name") == "pytorch" for container in containers):
            wrong.append(f'{where}[{kind}].template.spec.containers: Required value: must have a container "pytorch"')
        elif len(containers) > 1:
            wrong.append(f"{where}[{kind}].template.spec.containers: Forbidden: the stand-in runs one only")
        if kind == "Master" and spec.get("replicas", 1) != 1:
            wrong.append(f"{where}[{kind}].replicas: Forbidden: must be 1")
        if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
            wrong.append(f"{where}[{kind}].restartPolicy: the stand-in knows Always, OnFailure and Never")
    if "Master" not in specs:
        wrong.append(f"{where}: Required value: the stand-in knows no job without a Master")
    return wrong


def _wrong_deployment(deployment: Object) -> list[str]:
    """Check what Kubernetes does, and what the stand-in lacks."""
    spec, wrong = deployment["spec"], []
    wanted = spec["selector"].get("matchLabels") or {}
    if not wanted or not wanted.items() <= (spec["template"]["metadata"].get("labels") or {}).items():
        wrong.append("spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`")
    if (spec.get("strategy") or {}).get("type") != "Recreate":
        wrong.append("spec.strategy.type: the stand-in knows Recreate only")
    containers = spec["template"]["spec"]["containers"]
    if len(containers) > 1:
        wrong.append("spec.template.spec.containers: Forbidden: the stand-in runs one only")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if containers[0].get(name) and (name == "startupProbe" or "exec" not in containers[0][name]):
            wrong.append(f"spec.template.spec.containers[0].{name}: the stand-in probes by commands, and no start")
    return wrong


def merged(old: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON of any kind
    """Apply a JSON merge patch: RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def is_plain(patch: Any) -> bool:  # noqa: ANN401 - JSON of any kind
    """Return whether a strategic merge patch holds neither a list nor a directive: then it is a JSON merge patch."""
    if isinstance(patch, list):
        return False
    return not isinstance(patch, dict) or all(not key.startswith("$") and is_plain(one) for key, one in patch.items())
