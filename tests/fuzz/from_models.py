"""Valid documents, generated from the models themselves: a field that is added to them is tried from then on."""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gaitway.contracts.model import S3UriField
from gaitway.contracts.request import Request

Json = dict[str, Any]

TEXT = st.characters(codec="utf-8")
"""Whatever a JSON document may hold that is text: every character but half a surrogate pair."""

_POLICIES = ("checkpointPath", "policyS3Uri", "policyPath")
_ENVIRONMENTS = ("customEnvironmentPath", "customEnvironmentS3Uri")
_ARCHIVES = (".tar.gz", ".zip", ".whl")
_LARGEST = 2**63
"""Of an integer that a model does not limit."""

s3_uris = st.builds(
    "s3://{}/{}".format,
    st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_.=-]{1,20}(/[A-Za-z0-9_.=+ -]{1,20}){0,3}", fullmatch=True),
)


@cache
def documents(model: type[BaseModel]) -> st.SearchStrategy[Json]:
    """Draw documents whose every field is valid by itself; any field may be left out."""
    hints = typing.get_type_hints(model, include_extras=True)
    fields = {field.alias or name: _values(hints[name]) for name, field in model.model_fields.items()}
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def requests(draw: st.DrawFn, *, mode: Literal["train", "evaluate"] | None = None) -> Json:
    """Draw a valid request.

    Args:
        draw: Draws values.
        mode: What to do; either when None.
    """
    request = draw(documents(Request))
    training = request["trainingConfig"] = dict(request.get("trainingConfig") or {})
    compute = request["computeConfig"] = dict(request.get("computeConfig") or {})
    if mode is not None:
        training["mode"] = mode
    if training.get("mode") == "evaluate":
        training.pop("resumeCheckpoint", None)
        compute |= {"numNodes": 1, "gpusPerNode": 1}
    else:
        for field in _POLICIES:
            training.pop(field, None)
    _keep_one(draw, [(training, field) for field in _POLICIES])
    _keep_one(draw, [(place, field) for place in (request, training) for field in _ENVIRONMENTS])
    for place in (request, training):
        for field in _ENVIRONMENTS:
            if place.get(field) is not None:
                place[field] = _file(place[field], draw(st.sampled_from(_ARCHIVES)))
    for field in ("resumeCheckpoint", *_POLICIES):
        if training.get(field) is not None:
            training[field] = _file(training[field], ".pt")
    return request


def _file(path: str, suffix: str) -> str:
    """Make a path one of a file, and short enough for S3 in whichever alphabet."""
    return f"{path[:200]}{suffix}"


def _keep_one(draw: st.DrawFn, candidates: list[tuple[Json, str]]) -> None:
    """Where several fields say the same thing, leave one."""
    given = [(place, field) for place, field in candidates if place.get(field) is not None]
    if given:
        kept = draw(st.sampled_from(range(len(given))))
        for number, (place, field) in enumerate(given):
            if number != kept:
                del place[field]


def _values(hint: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Draw what a field of this type may hold."""
    if hint == S3UriField:
        return s3_uris
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _values(arguments[0], (*metadata, *_limits(arguments[1:])))
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(argument, metadata) for argument in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_values(arguments[0]), max_size=4)
    if hint is type(None):
        return st.none()
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(_of(metadata, Ge, "ge", -_LARGEST), _of(metadata, Le, "le", _LARGEST))
    if hint is float:
        limits = (float(_of(metadata, Gt, "gt", -_LARGEST)), float(_of(metadata, Le, "le", _LARGEST)))
        return st.floats(*limits, exclude_min=True)
    if hint is str:
        return _texts(metadata)
    assert isinstance(hint, type), f"teach this module the type {hint}"
    assert issubclass(hint, BaseModel), f"teach this module the type {hint}"
    return documents(hint)


def _texts(metadata: tuple[Any, ...]) -> st.SearchStrategy[str]:
    shortest = _of(metadata, MinLen, "min_length", 0)
    longest = _of(metadata, MaxLen, "max_length", 10_000)
    pattern = next((found for item in metadata if (found := getattr(item, "pattern", None))), None)
    if pattern is None:
        return st.text(TEXT, min_size=shortest, max_size=min(longest, 1024))
    expression = str(pattern).removeprefix("^").removesuffix("$")
    return st.from_regex(expression, fullmatch=True, alphabet=TEXT).filter(
        lambda text: shortest <= len(text) <= longest
    )


def _limits(annotations: tuple[Any, ...]) -> list[Any]:
    """Flatten pydantic's own annotation into the limits that it stands for."""
    return [limit for item in annotations for limit in (item.metadata if isinstance(item, FieldInfo) else [item])]


def _of(metadata: tuple[Any, ...], kind: type, attribute: str, otherwise: int) -> int:
    return next((getattr(item, attribute) for item in metadata if isinstance(item, kind)), otherwise)
