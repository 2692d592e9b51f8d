"""Label and field selectors, as far as `kubectl` and our agent use them.

kubernetes.io/docs/concepts/overview/working-with-objects/labels and .../field-selectors
"""

from __future__ import annotations

import re
from http import HTTPStatus

from gaitway.local.kubernetes.store import ApiError, Object

_REQUIREMENT = re.compile(r"(?P<no>!)?(?P<key>[\w./-]+)(?:\s*(?P<operator>==|=|!=)\s*(?P<value>[\w.-]*))?")
_FIELDS = ("metadata.name", "metadata.namespace")


def matches(body: Object, labels: str, fields: str) -> bool:
    """Return whether an object has the labels and fields that are asked for.

    Raises:
        ApiError: A selector is of a form that is not known here.
    """
    return all(_has_label(body, one) for one in _parts(labels)) and all(_has_field(body, one) for one in _parts(fields))


def _parts(selector: str) -> list[str]:
    return [part.strip() for part in selector.split(",") if part.strip()]


def _has_label(body: Object, text: str) -> bool:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise _unknown("label", text)
    actual = (body["metadata"].get("labels") or {}).get(match["key"])
    if match["operator"] is None:
        return (actual is None) == bool(match["no"])
    return (actual == match["value"]) == (match["operator"] != "!=")


def _has_field(body: Object, text: str) -> bool:
    match = _REQUIREMENT.fullmatch(text)
    if match is None or match["operator"] is None or match["key"] not in _FIELDS:
        raise _unknown("field", text)
    actual = body["metadata"].get(match["key"].removeprefix("metadata."))
    return bool(actual == match["value"]) == (match["operator"] != "!=")


def _unknown(what: str, text: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", f"the stand-in does not know the {what} selector {text!r}")
