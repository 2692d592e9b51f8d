"""What `kubectl` asks before anything else: which kinds there are, and whether fields are validated by the server.

kubernetes.io/docs/concepts/overview/kubernetes-api
"""

from __future__ import annotations

from typing import Any

from gaitway.local.kubernetes.kinds import KINDS, Kind

_MODIFYING = ["create", "delete", "patch", "update"]
_READING = ["get", "list", "watch"]
_OPENAPI = "/openapi/v3"


def document(path: str) -> dict[str, Any] | None:
    """Answer a question about the API itself; None for a question about objects."""
    versions = list(dict.fromkeys(kind.version for kind in KINDS))
    if path == "/version":
        return {"major": "1", "minor": "33", "gitVersion": "v1.33.0-gaitway-stand-in", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(version) for version in versions if "/" in version]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == _OPENAPI:
        return {
            "paths": {_root(version): {"serverRelativeURL": f"{_OPENAPI}/{_root(version)}"} for version in versions}
        }
    for version in versions:
        kinds = [kind for kind in KINDS if kind.version == version]
        if path == f"/{_root(version)}":
            resources = [resource for kind in kinds for resource in _resources(kind)]
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        if path == f"{_OPENAPI}/{_root(version)}":
            return _openapi(version, kinds)
    return None


def _root(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _group(version: str) -> dict[str, Any]:
    group, _, number = version.partition("/")
    served = {"groupVersion": version, "version": number}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resources(kind: Kind) -> list[dict[str, Any]]:
    verbs = [*_READING, *(_MODIFYING if kind.model else [])]
    common = {"singularName": kind.name.lower(), "namespaced": kind.is_namespaced, "kind": kind.name}
    below = {"log": ["get"], "status": ["get", "patch", "update"]}
    return [
        {"name": kind.plural, "verbs": verbs} | common,
        *({"name": f"{kind.plural}/{name}", "verbs": below[name]} | common for name in kind.subresources),
    ]


def _openapi(version: str, kinds: list[Kind]) -> dict[str, Any]:
    """Say that the server validates fields: `kubectl` looks for nothing else, and then leaves it to the server."""
    group, _, number = version.rpartition("/")
    paths = {}
    for kind in kinds:
        names = {"group": group, "version": number, "kind": kind.name}
        operation = {
            "x-kubernetes-group-version-kind": names,
            "parameters": [{"name": "fieldValidation", "in": "query"}],
        }
        paths[f"/{_root(version)}/{kind.plural}"] = {"post": operation, "patch": operation}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"}, "paths": paths}
