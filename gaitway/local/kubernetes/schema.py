"""Strict validation of a manifest: a walk over the models that are generated from the API's own schema.

The models are those of the packages `kubernetes` and `kubeflow-training`. A field that they do not know is an error, as
with `kubectl --validate=strict`; so are a type that is wrong and a value that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from gaitway.local.kubernetes.quantities import amount

_LIST = re.compile(r"list\[(.*)\]")
_MAP = re.compile(r"dict\((\w+), (.*)\)")
_QUANTITY = re.compile(r"\.(limits|requests|capacity)\.|\.sizeLimit$")
"""Paths of quantities, which may be written as numbers; the models call them strings."""
_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}
_ANY = ("object", "datetime", "date")


def unknown_fields(document: object, model: str) -> list[str]:
    """Return the fields that the API does not know, as `spec.replica`."""
    return [path for path, message in _findings(document, model, "") if message is None]


def wrong_values(document: object, model: str) -> list[str]:
    """Return what is missing or of a wrong type, as `spec.runPolicy: Required value`."""
    return [f"{path}: {message}" for path, message in _findings(document, model, "") if message is not None]


def _findings(value: object, kind: str, path: str) -> Iterator[tuple[str, str | None]]:
    """Find what is wrong; without a message, the field is unknown."""
    if value is None:
        return
    if match := _LIST.fullmatch(kind):
        if not isinstance(value, list):
            yield path, "Invalid value: must be an array"
            return
        for index, item in enumerate(value):
            yield from _findings(item, match[1], f"{path}[{index}]")
    elif match := _MAP.fullmatch(kind):
        if not isinstance(value, dict):
            yield path, "Invalid value: must be an object"
            return
        for key, item in value.items():
            yield from _findings(item, match[2], f"{path}.{key}")
    elif kind == "str" and _QUANTITY.search(path):
        try:
            amount(value)
        except ValueError as error:
            yield path, f"Invalid value: {value!r}: {error}"
    elif kind in _TYPES:
        # `true` is an int in Python.
        if not (isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "bool")):
            yield path, f"Invalid value: {value!r}: must be of type {kind}"
    elif kind not in _ANY:
        yield from _object_findings(value, kind, path)


def _object_findings(value: object, kind: str, path: str) -> Iterator[tuple[str, str | None]]:
    model = _model(kind)
    if not isinstance(value, dict):
        yield path, "Invalid value: must be an object"
        return
    known = {json: python for python, json in model.attribute_map.items()}
    for key, item in value.items():
        where = f"{path}.{key}".lstrip(".")
        if key in known:
            yield from _findings(item, model.openapi_types[known[key]], where)
        else:
            yield where, None
    try:
        model(**{known[key]: item for key, item in value.items() if key in known}, local_vars_configuration=_checking())
    except ValueError as error:
        # "Invalid value for `run_policy`, must not be `None`"
        field = re.search(r"`(\w+)`", str(error))
        name = model.attribute_map.get(field[1], field[1]) if field else ""
        required = "must not be `None`" in str(error)
        yield f"{path}.{name}".strip("."), "Required value" if required else f"Invalid value: {error}"


@cache
def _model(name: str) -> Any:  # noqa: ANN401 - a generated class
    import kubeflow.training.models as of_kubeflow
    import kubernetes.client.models as of_kubernetes

    return getattr(of_kubeflow, name, None) or getattr(of_kubernetes, name)


@cache
def _checking() -> Any:  # noqa: ANN401 - a generated class
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.client_side_validation = True
    return configuration
