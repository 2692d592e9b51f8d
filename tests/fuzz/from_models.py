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

from gaitway.contracts.model import GroupId, RunId, S3UriField
from gaitway.contracts.overrides import key_of
from gaitway.contracts.request import Request
from gaitway.contracts.workload import CONFIGS, EvaluationConfig, HydraOverride, WorkloadConfig
from gaitway.libraries.registry import record_of

Json = dict[str, Any]

TEXT = st.characters(codec="utf-8")
"""Whatever a JSON document may hold that is text: every character but half a surrogate pair."""

_POLICIES = ("checkpointPath", "policyS3Uri", "policyPath")
_ENVIRONMENTS = ("customEnvironmentPath", "customEnvironmentS3Uri")
_ARCHIVES = (".tar.gz", ".tgz", ".zip", ".whl")
_IDS: dict[Any, str] = {
    GroupId: r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}",
    RunId: r"run-[0-9a-f]{20}",
    HydraOverride: r"\+{0,2}(env|agent)\.[a-z_]{1,8}[0-9](\.[a-z]{1,5}){0,2}=([a-z0-9_.]{0,9}|\[[0-9](, ?[0-9])?\])",
}
"""What their validators allow."""
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


@cache
def _configs() -> st.SearchStrategy[Json]:
    """Draw what any workload may be asked for, with fields of the others, as a template for several has them."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for config in CONFIGS.values():
        hints = typing.get_type_hints(config, include_extras=True)
        fields |= {config.alias_of(name): _values(hints[name]) for name in config.model_fields}
    return st.fixed_dictionaries({}, optional=fields | {"mode": st.sampled_from(list(CONFIGS))})


@st.composite
def requests(draw: st.DrawFn, *, mode: str | None = None) -> Json:
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
    asked = CONFIGS[training.get("mode", "train")]
    for config in CONFIGS.values():
        for field in config.only_here:
            if config is not asked:
                training.pop(config.alias_of(field), None)
    if asked is EvaluationConfig:
        compute |= {"numNodes": 1, "gpusPerNode": 1}
    else:
        if training.get("rlLibrary") is not None and not record_of(training["rlLibrary"]).trains_in_several_processes:
            compute |= {"numNodes": 1, "gpusPerNode": 1}
    if "hydraOverrides" in training:
        training["hydraOverrides"] = list({key_of(each): each for each in training["hydraOverrides"]}.values())
    # There is no run to continue.
    for field in ("resumeFrom", "furtherIterations"):
        training.pop(field, None)
    if training.get("recordVideo"):
        training.pop("enableCameras", None)
    # Which deployments have these is another question than what a request may say.
    compute.pop("gpuSlice", None)
    training.pop("liveView", None)
    training.pop("simulator", None)
    _keep_one(draw, [(training, field) for field in _POLICIES])
    _keep_one(draw, [(place, field) for place in (request, training) for field in _ENVIRONMENTS])
    for place in (request, training):
        for field in _ENVIRONMENTS:
            suffix, given = draw(st.sampled_from(_ARCHIVES)), place.get(field)
            if isinstance(given, list):
                # Refused: an empty list, paths of another length than S3's, and a package that is there twice.
                place[field] = list(dict.fromkeys(_file(path, suffix) for path in given)) or None
            elif given is not None:
                place[field] = _file(given, suffix)
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
    if hint in _IDS:
        return st.from_regex(_IDS[hint], fullmatch=True)
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
    if hint is WorkloadConfig:
        return _configs()
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
