"""The request: the parameters of a run (design, section 3). Every error names the field, the value and what is allowed.

The other parts of a caller's message are in `gaitway.contracts.message`.
"""

from __future__ import annotations

import difflib
import json
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from gaitway.contracts.backends import DEFAULT_BACKEND, Backend
from gaitway.contracts.documents import MAX_VALUE_CHARACTERS, merge, parse_json_object, shorten
from gaitway.contracts.errors import RequestError
from gaitway.contracts.inputs import AssetPaths, S3UriFields
from gaitway.contracts.model import SENT, GroupId, Received, RunId, UserModel
from gaitway.contracts.spellings import Decimal, Whole, is_given, without_empty
from gaitway.contracts.text import Like
from gaitway.contracts.workload import AnyConfig, TrainingConfig, WorkloadConfig, known_keys, same_input

M = TypeVar("M", bound=BaseModel)

_PARTS = ("trainingConfig", "computeConfig")
SETTINGS = {"useSpot": "useSpot", "instanceType": "instanceTypes", "instanceTypes": "instanceTypes"}
"""What people look for in a request, and the setting of a deployment that it is."""
_SHORT = 200
MAX_REQUEST_CHARACTERS = 131_072
"""Of one document. A state's data of Step Functions, and an item of DynamoDB, hold the request and more:
docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""
MAX_FINDINGS = 20
"""An error message lists at most this many: a file of another kind may have thousands of unknown keys."""


class ComputeConfig(UserModel, Received):
    """Where it runs."""

    backend: Backend = DEFAULT_BACKEND
    """What runs the job: AWS Batch, a SageMaker training job, or a HyperPod cluster. The deployment must have it: see
    the setting `backends`."""
    num_nodes: Annotated[int, Field(ge=1, le=64), Whole()] = 1
    """More than one: a multi-node parallel job."""
    gpus_per_node: Annotated[int, Field(ge=1, le=8), Whole()] = 1
    """torchrun processes per node."""
    gpu_slice: (
        Annotated[
            str,
            Like(
                r"[1-7]g\.[1-9][0-9]*gb",
                "a MIG profile as the cluster's GPUs have it: how many of a GPU's seven parts, and how much memory, as "
                "1g.10gb",
            ),
        ]
        | None
    ) = None
    """A part of a GPU (MIG), on a cluster whose nodes are partitioned: `hyperpod-eks` with one node and one process. A
    whole GPU when null."""
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), Decimal()] | None = None
    """The run is ended when its machines have cost this much over all attempts. A training saves a checkpoint first,
    within two minutes. No limit when null."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, data: object) -> object:
        return without_empty(cls, data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _slice_can_be_had(self) -> Self:
        if self.gpu_slice is None:
            return self
        if self.backend != "hyperpod-eks":
            raise ValueError(
                f"computeConfig.gpuSlice is {self.gpu_slice!r}, but computeConfig.backend is {self.backend!r}: only "
                "nodes of hyperpod-eks have slices of GPUs. Name it, or leave gpuSlice out to get a whole GPU"
            )
        for name, count, why in (
            ("numNodes", self.num_nodes, "nodes do not exchange gradients through a slice"),
            ("gpusPerNode", self.gpus_per_node, "NCCL does not work between slices"),
        ):
            if count > 1:
                raise ValueError(
                    f"computeConfig.gpuSlice is {self.gpu_slice!r}, but computeConfig.{name} is {count}, allowed: 1 "
                    f"({why}). Leave gpuSlice out to use whole GPUs"
                )
        return self


class Request(UserModel):
    """The parameters of a run: `inputParameters`, with the JSON file merged over it."""

    name: Annotated[str, Field(max_length=256)] | None = None
    """Name of the run, for people."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """Text that is kept with the run, for people."""
    group_id: GroupId | None = None
    """Group that the run belongs to: `gaitway ls --group` lists its runs. A user, or a program that starts several
    runs, chooses it."""
    parent_run_id: RunId | None = None
    """Run that this one follows from, for example the one that trained the policy to evaluate. It is kept with the run,
    and has no effect on its work. By default the run in resumeFrom."""
    training_config: AnyConfig = Field(default_factory=TrainingConfig)
    """What to train or evaluate."""
    compute_config: ComputeConfig = Field(default_factory=ComputeConfig)
    """Where it runs, and how much it may cost."""
    custom_environment_path: AssetPaths | None = None
    """Also accepted in trainingConfig."""
    custom_environment_s3_uri: Annotated[S3UriFields | None, Field(alias="customEnvironmentS3Uri")] = None
    """Also accepted in trainingConfig."""

    @model_validator(mode="before")
    @classmethod
    def _custom_environment_belongs_to_training(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        data = without_empty(cls, data)
        training = data.get("trainingConfig")
        for key in ("customEnvironmentPath", "customEnvironmentS3Uri"):
            value = data.pop(key, None)
            if not is_given(value):
                continue
            if training is not None and not isinstance(training, dict):
                continue
            training = dict(training or {})
            if training.get(key) not in (None, "", value):
                raise ValueError(f"{key} stands at the top level and in trainingConfig with different values")
            training[key] = value
            data["trainingConfig"] = training
        return data

    @model_validator(mode="before")
    @classmethod
    def _follows_from_what_it_continues(cls, data: object) -> object:
        training = data.get("trainingConfig") if isinstance(data, dict) else None
        continued = training.get("resumeFrom") if isinstance(training, dict) else None
        if not isinstance(data, dict) or not _is_run_id(continued):
            return data
        parent = data.get("parentRunId")
        if parent not in (None, "", continued):
            raise ValueError(
                f"parentRunId is {shorten(parent)}, but trainingConfig.resumeFrom is {shorten(continued)}, allowed: "
                "the same run"
            )
        return data | {"parentRunId": continued}

    @model_validator(mode="after")
    def _processes(self) -> Self:
        self.training_config.check_processes(self.compute_config.num_nodes, self.compute_config.gpus_per_node)
        return self

    @model_validator(mode="after")
    def _view_can_be_had(self) -> Self:
        backend = self.compute_config.backend
        if self.training_config.live_view and backend != DEFAULT_BACKEND:
            raise ValueError(
                f"trainingConfig.liveView is true, but computeConfig.backend is {backend!r}: `gaitway view` reaches "
                f"instances of {DEFAULT_BACKEND} only. Leave liveView out, or name that back end"
            )
        return self


def _is_run_id(value: object) -> bool:
    """Whether a value is an id: what is wrong with another one is said of the field that has it."""
    try:
        TypeAdapter(RunId).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def parse_request(*documents: object) -> Request:
    """Read a request; later documents are merged over earlier ones, key by key.

    Args:
        documents: JSON objects, JSON strings, or None and empty strings for nothing.

    Raises:
        RequestError: Names every wrong field with its value and what is allowed.
    """
    merged: dict[str, Any] = {}
    for document in documents:
        if is_given(document):
            _check_size(document)
            merged = _over(merged, _parts_read(parse_json_object("inputParameters", document)))
    return validate(Request, merged)


def _check_size(document: object) -> None:
    """Refuse a document that no request can be, before it is read."""
    try:
        text = document if isinstance(document, str | bytes) else json.dumps(document)
    except (TypeError, ValueError, RecursionError):
        # Reading it says what is wrong.
        return
    if len(text) > MAX_REQUEST_CHARACTERS:
        raise RequestError(
            f"inputParameters is {len(text)} characters long, allowed: {MAX_REQUEST_CHARACTERS}; give a request as it "
            "is documented, a few lines of JSON"
        )


def _parts_read(document: dict[str, Any]) -> dict[str, Any]:
    """Read the parts of a request that are the text of a JSON object."""
    read = dict(document)
    for name in _PARTS:
        if isinstance(text := read.get(name), str) and text.lstrip("\ufeff \t\r\n").startswith("{"):
            read[name] = parse_json_object(name, text)
    return read


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge a document over another one; a file that it names replaces the other's, whichever key either used."""
    named = {
        other
        for place in (above, above.get("trainingConfig"))
        if isinstance(place, dict)
        for key, value in place.items()
        if is_given(value)
        for other in same_input(key)
    }
    below = {key: value for key, value in below.items() if key not in named}
    if isinstance(training := below.get("trainingConfig"), dict):
        below["trainingConfig"] = {key: value for key, value in training.items() if key not in named}
    return merge(below, above)


def validate(model: type[M], document: object) -> M:
    """Check a document against a model.

    Raises:
        RequestError: Every wrong field with its value and what is allowed.
    """
    try:
        return model.model_validate(document, context=SENT, by_alias=True, by_name=False)
    except ValidationError as error:
        findings = error.errors(include_url=False)
        described = [_describe(model, finding) for finding in findings[:MAX_FINDINGS]]
        if len(findings) > MAX_FINDINGS:
            described.append(f"and {len(findings) - MAX_FINDINGS} more")
        raise RequestError("; ".join(described)) from None


def _describe(model: type[BaseModel], finding: ErrorDetails) -> str:
    """Turn one of pydantic's errors into a sentence with field, value and what is allowed."""
    location = [str(part) for part in finding["loc"]]
    path = ".".join(map(_part, location))
    if finding["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        camel = to_camel(location[-1]) if location[-1].isidentifier() else ""
        meant = camel if camel in known else _elsewhere(location) if model is Request else None
        meant = meant or next(iter(difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)), None)
        hint = f" (did you mean {meant}?)" if meant else ""
        if (setting := SETTINGS.get(location[-1])) is not None:
            hint = f" (the deployment's setting {setting} decides that: docs/settings.md)"
        return f"{path} is not a known key{hint}, allowed: {', '.join(known)}"
    if finding["type"] == "missing":
        return f"{path} is missing"
    reason = str(finding["msg"]).removeprefix("Value error, ")
    if reason.startswith("which "):
        return f"{path} is {shorten(finding['input'])}, {reason}"
    says_must = reason.startswith("must be ")
    if not path or (finding["type"] == "value_error" and isinstance(finding["input"], dict) and not says_must):
        return reason
    for beginning in ("Input should be ", "String should have ", "must be "):
        reason = reason.removeprefix(beginning)
    value = finding["input"]
    if finding["type"] in ("model_type", "dict_type"):
        reason = "a JSON object"
    elif finding["type"] == "list_type":
        reason = f"a list, as [{json.dumps(value)}]" if isinstance(value, str) and len(value) < _SHORT else "a list"
    elif isinstance(value, str) and value != value.strip():
        reason = f"{reason}, without spaces or line breaks around it"
    return f"{path} is {shorten(value)}, allowed: {reason}"


def _part(key: str) -> str:
    """Write a key for an error message: in quotes if it is not what it seems."""
    is_plain = key.isprintable() and key == key.strip() and len(key) <= MAX_VALUE_CHARACTERS
    return key if is_plain else shorten(key)


def _elsewhere(location: list[str]) -> str | None:
    """Find the place of a key that stands in another part of the request; None if no part has it."""
    *place, key = location
    names = (key, to_camel(key) if key.isidentifier() else key)
    for part in ([], *([name] for name in _PARTS)):
        known = _known_keys(Request, part)
        found = next((name for name in names if name in known), None)
        if found is not None and part != place:
            return ".".join((*part, found))
    return None


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """List the keys of the model at a location."""
    for part in location:
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                candidates = (field.annotation, *get_args(field.annotation))
                model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    if model is WorkloadConfig:
        return known_keys()
    return [field.alias or name for name, field in model.model_fields.items()]
