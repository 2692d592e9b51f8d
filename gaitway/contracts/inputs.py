"""Input files of a run: one mapping from the request to the simulator, by the name of each.

A field of the request that names a file has an `Input` in its annotation. No other code knows the field. The
construct_run function finds the file and writes its address into `inputs` of the run's specification. The run's session
may read these addresses. The runner downloads the file and passes its path to the simulator (`SimulationJob.inputs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    computed_field,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from gaitway.contracts.model import Received, S3Uri, S3UriField

POLICY = "policy"
"""Checkpoint to evaluate."""
RESUME_CHECKPOINT = "resume_checkpoint"
"""Weights to start training from."""
AGENT_SETTINGS = "agent_settings"
"""The agent's settings of the training that wrote the policy or these weights, if they are beside it. Optional."""
CUSTOM_ENVIRONMENT = "custom_environment"
"""Package that registers further tasks."""

CONTINUED_CHECKPOINT = "continued_checkpoint"
"""Newest checkpoint of the run that this one continues."""
CONTINUED_PARAMETERS = {"continued_agent": "agent.yaml", "continued_env": "env.yaml"}
"""Parameters of that run that say what the number in the checkpoint's name counts: input, and name of the file."""

_MAX_NAME_BYTES = 240
"""File systems allow 255 bytes, and boto3 appends some to the name of an incomplete file: s3transfer/utils.py."""
_KEPT_BYTES = 64

AssetPath = Annotated[str, Field(min_length=1, max_length=1024)]
"""Path relative to the asset, or an S3 URI."""

MAX_LISTED = 16
"""So many files may a field name that takes a list."""


class _OneOrSeveral:
    """Annotation of a field that takes one value or a list of them."""

    def __init__(self, one: Any) -> None:  # noqa: ANN401 - a type, as an annotation has it
        self._one: TypeAdapter[object] = TypeAdapter(one)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> object:
            if not isinstance(value, list):
                return self._one.validate_python(value, strict=True)
            if not 1 <= len(value) <= MAX_LISTED:
                raise ValueError(f"one, or a list of 1 to {MAX_LISTED}")
            return [self._one.validate_python(one, strict=True) for one in value]

        schema = handler(source)
        return core_schema.no_info_plain_validator_function(
            read,
            json_schema_input_schema=schema,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, serialize: serialize(value), schema=schema
            ),
        )


T = TypeVar("T")
_Several = Annotated[list[T], Field(min_length=1, max_length=MAX_LISTED)]

AssetPaths = Annotated[_Several[AssetPath] | AssetPath, _OneOrSeveral(AssetPath)]
"""One path, or a list of them."""
# The list comes first: the string of anything can be had, also that of a list.
S3UriFields = Annotated[_Several[S3UriField] | S3UriField, _OneOrSeveral(S3UriField)]
"""One address, or a list of them."""


@dataclass(frozen=True)
class Input:
    """Marks a field that names an input file. Of several fields with the same name, a request may give one."""

    name: str


@dataclass(frozen=True)
class GivenInput:
    """An input file as the request names it."""

    name: str
    field: str
    """Name of the field in Python."""
    alias: str
    """Name of the field in a request."""
    path: str | S3Uri
    """S3 URI, or a path that is relative to the asset."""
    index: int | None = None
    """Which of a list; None if the field has one value."""

    @property
    def place(self) -> str:
        """Name of the field in a request, and which of its values."""
        return self.alias if self.index is None else f"{self.alias}[{self.index}]"

    @property
    def is_relative(self) -> bool:
        """Whether it is a path that is relative to the asset."""
        return isinstance(self.path, str) and not self.path.startswith("s3://")


def given_inputs(model: BaseModel) -> Iterator[GivenInput]:
    """List the input files that a part of a request names."""
    for field, info in type(model).model_fields.items():
        for marker in info.metadata:
            value, alias = getattr(model, field), info.alias or field
            if not isinstance(marker, Input) or value is None:
                continue
            if not isinstance(value, list):
                yield GivenInput(marker.name, field, alias, value)
                continue
            for index, path in enumerate(value):
                yield GivenInput(_numbered(marker.name, index), field, alias, path, index)


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index + 1}"


def names_of(name: str, inputs: Container[str]) -> list[str]:
    """List the names of all input files that one field names, in its order."""
    return [numbered for numbered in (_numbered(name, index) for index in range(MAX_LISTED)) if numbered in inputs]


def local_name(name: str) -> str:
    """Return the name of an object as a file's, or a name of ours if the file system has no such file.

    The end of the name stays: it says what kind of file it is, and of a checkpoint also its number.
    """
    if name not in ("", ".", "..") and "\0" not in name and len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    end = name.encode().replace(b"\0", b"")[-_KEPT_BYTES:].decode(errors="ignore").lstrip(".")
    return f"input-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{end}" if len(name) > 2 else "input"


class InputFile(Received):
    """An input file, as construct_run found it."""

    uri: S3UriField
    size: Annotated[int, Field(ge=0)] | None = None
    """Bytes; None if it is not known."""
    etag: str | None = None
    """S3's identifier of the content; None if it is not known."""


class WithInputs(Received):
    """A document that lists a run's input files; three of them also in the form that earlier versions read."""

    inputs: dict[str, InputFile] = Field(default_factory=dict)
    """Input files by name, with address, size and ETag; `custom_environment_2` is the second of a list. Documents
    repeat the addresses of `policy`, `resume_checkpoint` and `custom_environment` in fields of these names."""

    @model_validator(mode="before")
    @classmethod
    def _inputs_of_older_versions(cls, data: Any) -> Any:  # noqa: ANN401 - whatever arrives
        if not isinstance(data, dict):
            return data
        data = dict(data)
        older = {}
        for name in (POLICY, RESUME_CHECKPOINT, CUSTOM_ENVIRONMENT):
            for key in (name, cls.model_computed_fields[name].alias or name):
                uri = data.pop(key, None)
                if uri is not None:
                    older[name] = {"uri": uri}
        return {"inputs": older} | data

    def _address(self, name: str) -> S3Uri | None:
        file = self.inputs.get(name)
        return file.uri if file else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def policy(self) -> S3UriField | None:
        """Checkpoint to evaluate."""
        return self._address(POLICY)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def resume_checkpoint(self) -> S3UriField | None:
        """Weights to start training from."""
        return self._address(RESUME_CHECKPOINT)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def custom_environment(self) -> S3UriField | None:
        """Package that registers further tasks."""
        return self._address(CUSTOM_ENVIRONMENT)
